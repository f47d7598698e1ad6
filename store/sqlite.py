"""What a SQLite file needs: its place and permissions, its settings on every connection, and WAL."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from store.errors import MissingDatabaseError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine

_ELSEWHERE = "or choose another place with --database PATH"


def prepare_file(path: Path, *, create: bool) -> None:
    """See that there is a file to open; with `create` an empty one is made, readable for its group.

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
        raise StoreError(str(path), f"it cannot be reached ({error.strerror})", remedy) from error
    else:
        if not stat.S_ISREG(mode):
            cause = "this is a folder" if stat.S_ISDIR(mode) else "this is no regular file"
            raise StoreError(str(path), cause, "Give the path of a file with --database PATH")


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError as error:
        remedy = f"Make {path.parent} writable for this user, {_ELSEWHERE}"
        raise StoreError(str(path), f"it cannot be made ({error.strerror})", remedy) from error


def set_up(engine: Engine, busy_seconds: float) -> None:
    """Set every connection up, and begin transactions as `database.writing` and `database.durable` ask for."""

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions itself, below
        connection.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        asked = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if asked.get('durable') else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if asked.get("writes") else "BEGIN")


def use_wal(engine: Engine, busy_seconds: float) -> None:
    """Turn the write-ahead log on, so that readers and the writer never wait for one another; the file keeps it.

    Not done when a connection is made: the file may then turn out to be another program's, which is left as it was.
    """
    deadline = time.monotonic() + busy_seconds
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        while driver.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                driver.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:  # SQLite does not wait here when another process does the same
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
