"""Keeps a second daemon, and a second migration at the same moment, out of a store."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from store.address import display
from store.errors import StoreError
from store.explain import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

_DAEMON = 0x1FE20E7E2
_MIGRATION = 0x1FE20E7E3
_MAINTENANCE = 0x1FE20E7E4
"""Advisory locks of a server's database; any numbers that no one else takes."""


@contextmanager
def daemon_lock(engine: Engine) -> Iterator[None]:
    """Hold the store for one daemon; raises StoreError if another daemon has it.

    For SQLite a lock on a file beside the database, which the kernel drops when the process ends; for a server an
    advisory lock, which it drops when the connection ends. Other processes may still write their own recordings.
    """
    if engine.url.get_backend_name() == "sqlite":
        with _file_lock(Path(str(engine.url.database))):
            yield
    else:
        with _server_lock(engine):
            yield


@contextmanager
def maintenance_lock(engine: Engine) -> Iterator[bool]:
    """Yield whether this process alone compacts and prunes a server's database; a SQLite file has one daemon anyway."""
    if engine.dialect.name != "postgresql":
        yield True
        return
    with explained(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with connection:
        connection.detach()
        with explained(engine):
            held = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _MAINTENANCE}).scalar()
        yield bool(held)


@contextmanager
def migration_lock(connection: Connection) -> Iterator[None]:
    """Let one process at a time make or change tables; SQLite's own write lock does that there."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION})
    yield


def _in_use(database: str, whose: str) -> StoreError:
    remedy = "Stop that one (systemctl stop inferometer), or give this one a --database of its own"
    return StoreError(database, f"a daemon ({whose}) already writes here", remedy)


@contextmanager
def _file_lock(database: Path) -> Iterator[None]:
    path = Path(f"{database}.daemon")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        cause = f"its lock file {path.name} cannot be opened ({error.strerror})"
        raise StoreError(str(database), cause, f"Run as its owner, or delete {path}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise _in_use(str(database), f"process {holder}") from None
        if os.geteuid() == 0:  # a daemon that root started once must not shut the service's own user out
            owner = database.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _server_lock(engine: Engine) -> Iterator[None]:
    """Hold an advisory lock on a connection that no transaction keeps open and no pool keeps alive."""
    with explained(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with connection:
        connection.detach()
        with explained(engine):
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _DAEMON}).scalar():
                raise _in_use(display(engine.url), _holder(connection))
        yield


def _holder(connection: Connection) -> str:
    """Name the session that holds the daemon's lock: its host, and its process on the server."""
    found = connection.execute(
        text(
            "SELECT pid, host(client_addr) AS address FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = :key"
        ),
        {"key": _DAEMON},
    ).first()
    if found is None:
        return "just ended"
    return f"on {found.address or 'the same host as the server'}, session {found.pid} there"
