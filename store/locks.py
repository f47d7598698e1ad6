"""Allows one process at a time to change tables, and one to compact and prune a server's database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text

from store.error_messages import translate_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_MIGRATION = 0x1FE20E7E3
_MAINTENANCE = 0x1FE20E7E4
"""Keys of advisory locks of a server's database; arbitrary numbers that no other program uses."""


@contextmanager
def maintenance_lock(engine: Engine) -> Iterator[bool]:
    """Yield whether this process is the only one to compact and prune; a SQLite file has only one daemon."""
    if engine.dialect.name != "postgresql":
        yield True
        return
    with translate_errors(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with connection:
        connection.detach()
        with translate_errors(engine):
            held = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _MAINTENANCE}).scalar()
        yield bool(held)


@contextmanager
def migration_lock(connection: Connection) -> Iterator[None]:
    """Allow one process at a time to create or change tables; SQLite's own write lock does so for a file."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION})
    yield
