"""Lets one daemon a host write to a store, and detects a lost lock."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from sqlalchemy import text

from store.error_messages import translate_errors
from store.errors import StoreError, StoreInUseError, TransientStoreError
from store.network_disk import refuse_network_disk
from store.url import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Row

_DAEMON = 0x1FE20E7
"""The upper half of the keys of the advisory locks in a server's database; the lower half identifies the host."""
_MINE = """
SELECT count(*) FROM pg_locks
WHERE pid = pg_backend_pid() AND granted
  AND locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = :key
"""
_HOLDER = """
SELECT pid, host(client_addr) AS address FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = :key
"""
_OLD_DAEMON = 0x1FE20E7E2
"""The advisory lock of the daemons of schema 0002, shared by all hosts."""
_DAEMONS = """
SELECT pid, host(client_addr) AS address FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND locktype = 'advisory' AND classid = :half
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_TRIES = 100


class _Lock(Protocol):
    def acquire(self) -> None:
        """Take the lock. Raises StoreInUseError if another daemon holds it, and StoreError."""

    def held(self) -> bool:
        """Return whether this process still holds the lock."""

    def release(self) -> None:
        """Release the lock."""


class DaemonLock:
    """A lock that this process holds; `lost` is the reason if it lost the lock permanently, else empty."""

    def __init__(self, lock: _Lock) -> None:
        self._lock = lock
        self.lost = ""

    def verify(self) -> None:
        """Return if this process holds the lock, or could take it again, as after a restart of the server.

        Call it before each write, always in the same thread. Raises StoreInUseError if another daemon holds the lock,
        and TransientStoreError while the holder is unknown.
        """
        if self._lock.held():
            return
        try:
            self._lock.release()
            self._lock.acquire()
        except StoreInUseError as error:
            self.lost = str(error)
            raise


@contextmanager
def daemon_lock(engine: Engine, host_id: str) -> Iterator[DaemonLock]:
    """Hold a store for the one daemon of a host. Raises StoreInUseError if another daemon holds it.

    SQLite: a lock on a file beside the database, which the kernel drops when the process ends. Server: an advisory lock
    of this host, which ends with the connection. Other processes can still write their own recordings, and other hosts
    can write to the same server.
    """
    on_file = engine.dialect.name == "sqlite"
    lock: _Lock = _FileLock(Path(str(engine.url.database))) if on_file else _ServerLock(engine, host_id)
    lock.acquire()
    try:
        yield DaemonLock(lock)
    finally:
        lock.release()


@contextmanager
def exclude_daemons(connection: Connection) -> Iterator[None]:
    """Block daemons from a store while its tables change. Raises StoreInUseError if one writes to it.

    The caller is inside the transaction that changes the tables, and no other process is. On a server the lock of old
    daemons is held until the transaction ends.
    """
    engine = connection.engine
    if engine.dialect.name == "sqlite":
        lock = _FileLock(Path(str(engine.url.database)))
        lock.acquire()
        try:
            yield
        finally:
            lock.release()
        return
    taken = connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _OLD_DAEMON}).scalar()
    if not taken:
        raise _in_use(display(engine.url), _holder(connection, _OLD_DAEMON))
    found = connection.execute(text(_DAEMONS), {"half": _DAEMON}).first()
    if found is not None:
        raise _in_use(display(engine.url), _session(found))
    yield


class _FileLock:
    """A lock on a file beside a SQLite database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = Path(f"{database}.daemon")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        refuse_network_disk(self._database)
        for _ in range(_TRIES):
            self._descriptor = self._opened()
            self._take(self._descriptor)
            if self.held():  # otherwise the file was deleted after it was opened, and others lock another one
                break
            self.release()
        self._write_process_id()

    def held(self) -> bool:
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat(follow_symlinks=False))
        except OSError:
            return False

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except OSError as error:
            cause = f"its lock file {self._path.name} cannot be opened ({error.strerror})"
            raise StoreError(str(self._database), cause, f"Run as its owner, or delete {self._path}") from error

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            self.release()
            raise _in_use(str(self._database), f"process {holder}") from None
        except OSError as error:
            self.release()
            cause = f"its disk does not support locks ({error.strerror})"
            raise StoreError(str(self._database), cause, "Name a database on a local disk with --database") from error

    def _write_process_id(self) -> None:
        """Write this process's number into the file, for the message of a refused daemon."""
        if self._descriptor is None:
            raise TransientStoreError(str(self._database), "its lock file is deleted repeatedly", "Find by whom")
        if os.geteuid() == 0:  # a daemon that root started once must not lock out the service's own user
            owner = self._database.stat()
            os.fchown(self._descriptor, owner.st_uid, owner.st_gid)
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:  # on a full disk the number is missing; the lock still holds
            return


class _ServerLock:
    """An advisory lock on a connection without an open transaction, outside of the pool."""

    def __init__(self, engine: Engine, host_id: str) -> None:
        self._engine = engine
        self._key = _DAEMON << 32 | crc32(host_id.encode("utf-8", "surrogateescape"))
        self._connection: Connection | None = None
        self._driver: Any = None

    def acquire(self) -> None:
        with translate_errors(self._engine):
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._driver = connection.connection.driver_connection
            connection.detach()
            self._connection = connection
            taken = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar()
            holder = "" if taken else _holder(connection, self._key)
        if holder:
            self.release()
            raise _in_use(display(self._engine.url), holder)

    def held(self) -> bool:
        if self._connection is None:
            return False
        try:
            with translate_errors(self._engine):
                return bool(self._connection.execute(text(_MINE), {"key": self._key}).scalar())
        except StoreError:
            return False

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # a broken connection cannot close properly
                connection.close()
            self._driver.close()  # SQLAlchemy does not close a detached connection that broke


def _holder(connection: Connection, key: int) -> str:
    """Describe the session that holds the daemon's lock: its host, and its process on the server."""
    found = connection.execute(text(_HOLDER), {"key": key}).first()
    if found is None:
        return "just ended"
    return _session(found)


def _session(found: Row[Any]) -> str:
    return f"on {found.address or 'the same host as the server'}, session {found.pid} there"


def _in_use(database: str, whose: str) -> StoreInUseError:
    remedy = "Stop that one (systemctl stop inferometer), or start this one with another --database"
    if not whose.startswith("process"):
        remedy += ". If it is another machine, each needs a different /etc/machine-id"
    return StoreInUseError(database, f"a daemon ({whose}) already writes here", remedy)
