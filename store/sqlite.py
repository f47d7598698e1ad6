"""Sets up SQLite: the file and its permissions, the settings of every connection, and WAL."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from store.errors import MissingDatabaseError, StoreError, UnusablePathError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_INCREMENTAL = 2
_VACUUM_PAGES = 1000
LOG_BYTES = 16 << 20
"""The write-ahead log is cut to this size when no reader needs more of it."""
_TRUNCATE_MILLISECONDS = 250
"""The longest wait for readers before the log is cut; no other program can write meanwhile."""
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_ELSEWHERE = "or choose another place with --database PATH"


def prepare_file(path: Path, *, create: bool) -> None:
    """Check that there is a file to open; with `create` an empty one is created, readable for its group.

    SQLite gives its own two files beside it (-wal and -shm) the same permissions. Raises StoreError.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not create:
            raise MissingDatabaseError(str(path)) from None
        _make(path)
    except OSError as error:
        remedy = f"Check the folders above it, {_ELSEWHERE}"
        raise UnusablePathError(str(path), f"it cannot be reached ({error.strerror})", remedy) from error
    else:
        if not stat.S_ISREG(mode):
            cause = "this is a folder" if stat.S_ISDIR(mode) else "this is not a regular file"
            raise UnusablePathError(str(path), cause, "Give the path of a file with --database PATH")


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError as error:
        remedy = f"Make {path.parent} writable for this user, {_ELSEWHERE}"
        kind = StoreError if error.errno in _DISK_ERRORS else UnusablePathError
        raise kind(str(path), f"it cannot be created ({error.strerror})", remedy) from error


def set_up(engine: Engine, busy_seconds: float) -> None:
    """Set every connection up, and begin transactions as required by `engines.write_engine` and `database.durable`."""

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions itself, below
        connection.text_factory = _text
        connection.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        asked = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if asked.get('durable') else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if asked.get("writes") else "BEGIN")


def _text(stored: bytes) -> str:
    """Decode a text; invalid UTF-8 becomes surrogates, so that one damaged row does not hide the others."""
    return stored.decode("utf-8", "surrogateescape")


def enable_auto_vacuum(connection: Connection) -> None:
    """Enable a file without tables to shrink in small steps, as pruning does."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA auto_vacuum = INCREMENTAL")


def enable_wal(engine: Engine, busy_seconds: float) -> None:
    """Enable the write-ahead log permanently, so that readers and the writer never wait for each other.

    This is not done when a connection opens: the file may belong to another program, and must stay unchanged then.
    """
    deadline = time.monotonic() + busy_seconds
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        while driver.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                driver.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:  # SQLite does not wait here if another process does the same
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)


def size(engine: Engine) -> int:
    """Return the size of a file and its write-ahead log in bytes."""
    return _pages(engine, "page_count") + log_bytes(engine)


def log_bytes(engine: Engine) -> int:
    """Return the size of a file's write-ahead log in bytes."""
    try:
        return Path(f"{engine.url.database}-wal").stat().st_size
    except OSError:
        return 0


def truncate_log(engine: Engine) -> bool:
    """Move the write-ahead log into the file and empty it; return False if a reader needs it or the disk is full."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        patience = driver.execute("PRAGMA busy_timeout").fetchone()[0]
        driver.execute(f"PRAGMA busy_timeout = {_TRUNCATE_MILLISECONDS}")
        try:
            return bool(driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        except sqlite3.OperationalError:  # the log's content is safe
            return False
        finally:
            driver.execute(f"PRAGMA busy_timeout = {patience}")


def used_bytes(engine: Engine) -> int:
    """Return the bytes of a file in use; free ones are used next, or can be reclaimed."""
    return _pages(engine, "page_count") - _pages(engine, "freelist_count")


def reclaim(engine: Engine) -> bool:
    """Return free space of a file to the disk in small steps; return False if the file does not support that.

    Other connections write between two steps. VACUUM adds the support.
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if driver.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
            return not driver.execute("PRAGMA freelist_count").fetchone()[0]
        while driver.execute("PRAGMA freelist_count").fetchone()[0]:
            driver.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
            if log_bytes(engine) > LOG_BYTES and not truncate_log(engine):
                return True  # a reader needs the log: further steps would only lengthen it
    return True


def _pages(engine: Engine, pragma: str) -> int:
    with engine.connect() as connection:
        count = connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()
        return int(count * connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def vacuum(engine: Engine) -> None:
    """Rewrite a file without its free space, and enable it to shrink. Others cannot write meanwhile."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        driver.execute("VACUUM")
