"""Opens a store: creates missing tables and upgrades those of an older version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, insert

from store import sqlite
from store.daemon_lock import daemon_lock
from store.engines import create_store_engine, durable, snapshot_engine, write_engine
from store.error_messages import translate_errors
from store.errors import MissingDatabaseError, StoreError
from store.locks import migration_lock
from store.schema import REVISION, VERSION_TABLE, metadata
from store.upgrade import Upgrade, refuse_newer, revision, upgrade
from store.url import display, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import URL

__all__ = [
    "BUSY_SECONDS",
    "create_store_engine",
    "daemon_lock",
    "durable",
    "open_current",
    "open_database",
    "snapshot_engine",
    "upgrade_database",
    "write_engine",
]

BUSY_SECONDS = 10.0
"""The longest wait for another program's lock on a SQLite file."""
_UPGRADE_BUSY_SECONDS = 60.0
"""The longest wait of a requested upgrade, which may wait for the end of a compaction."""


def open_database(url: str, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Open the store at a path or a SQLAlchemy URL and upgrade its tables.

    A missing database is created, or raises MissingDatabaseError if not `create`. Raises StoreError.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        sqlite.prepare_file(Path(str(parsed.database)), create=create)
    engine = create_store_engine(parsed, busy_seconds)
    try:
        with translate_errors(engine):
            _prepare(engine, create=create)
            if engine.dialect.name == "sqlite":
                sqlite.enable_wal(engine, busy_seconds)
    except BaseException:  # after Ctrl-C, too, no connection stays open
        engine.dispose()
        raise
    return engine


def open_current(url: URL) -> Engine:
    """Open a store of this version, and neither create nor change a table, as for a login without that right.

    Raises StoreError, also if the tables are missing or of another version.
    """
    engine = create_store_engine(url, BUSY_SECONDS)
    try:
        with translate_errors(engine), engine.connect() as connection:
            _refuse_other(url, revision(connection, engine.url))
    except BaseException:
        engine.dispose()
        raise
    return engine


def _refuse_other(url: URL, found: str | None) -> None:
    if found == REVISION:
        return
    if found is not None:
        refuse_newer(url, found)
    cause = f"its tables are of schema {found}, and this Inferometer needs {REVISION}" if found else "it is empty"
    raise StoreError(display(url), cause, "Its owner makes and upgrades the tables with `inferometer fleet init`")


def upgrade_database(url: str, report: Callable[[str], object]) -> Upgrade:
    """Upgrade the tables of a store, and do nothing else; `report` receives a line before each step.

    Raises StoreError, and MissingDatabaseError if there is no store.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        sqlite.prepare_file(Path(str(parsed.database)), create=False)
    engine = create_store_engine(parsed, _UPGRADE_BUSY_SECONDS)
    try:
        with translate_errors(engine):
            with engine.connect() as connection:
                found = revision(connection, engine.url)
            if found is None:
                raise MissingDatabaseError(display(engine.url))
            return Upgrade(found, found) if found == REVISION else upgrade(engine, report)
    finally:
        engine.dispose()


def _prepare(engine: Engine, *, create: bool) -> None:
    with engine.connect() as connection:
        found = revision(connection, engine.url)
    if found is None and not create:
        raise MissingDatabaseError(display(engine.url))
    if found is None:
        with write_engine(engine).connect() as connection:
            if engine.dialect.name == "sqlite":
                sqlite.enable_auto_vacuum(connection)
            with connection.begin(), migration_lock(connection):
                if revision(connection, engine.url) is None:
                    _make_tables(connection)
    elif found != REVISION:
        refuse_newer(engine.url, found)
        upgrade(engine)


def _make_tables(connection: Connection) -> None:
    """Create the tables of a new store, equal to the result of the newest migration; a test compares them."""
    metadata.create_all(connection, checkfirst=False)
    version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
    version.create(connection)
    connection.execute(insert(version).values(version_num=REVISION))
