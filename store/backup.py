"""Copies a SQLite store while other programs write to it, without replacing any file."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from store import sqlite
from store.error_messages import translate_errors
from store.errors import StoreError, TransientStoreError, UnusablePathError
from store.url import display

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SPARE_BYTES = 1 << 20
"""Space that a copy leaves on the disk, for the database's own next transactions."""


def backup(engine: Engine, to_path: str | Path) -> int:
    """Copy a SQLite store as of this moment; return the copy's size in bytes.

    The copy gets its name only when it is complete and on the disk. Raises StoreError, also if the name is taken.
    """
    to = Path(to_path)
    if engine.dialect.name != "sqlite":
        raise StoreError(display(engine.url), "a server's database is not a file", "Use pg_dump instead")
    check_target(engine, to)
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        _copy(engine, part)
        os.link(part, to)  # unlike a rename, fails if another file has the name
        return to.stat().st_size
    except FileExistsError as error:
        raise _taken(to) from error
    except OSError as error:
        raise StoreError(str(to), f"the copy cannot be written ({error.strerror})", "Name another folder") from error
    finally:
        part.unlink(missing_ok=True)


def target(engine: Engine, to: Path, now: time.struct_time) -> Path:
    """Return the path of a copy: `to`, or a file in it named after the database and the time if it is a folder."""
    if not to.is_dir():
        return to
    name = Path(str(engine.url.database))
    return to / f"{name.stem}-{time.strftime('%Y%m%dT%H%M%SZ', now)}{name.suffix}"


def check_target(engine: Engine, to: Path) -> None:
    """Raise StoreError if a copy cannot be written to `to`: the name is taken, or the disk has too little room."""
    if to.exists() or to.is_symlink():
        raise _taken(to)
    with translate_errors(engine):
        needed = sqlite.size(engine) + _SPARE_BYTES
    try:
        free = shutil.disk_usage(to.parent).free
    except OSError as error:
        cause = f"its folder cannot be used ({error.strerror})"
        raise UnusablePathError(str(to), cause, f"Make {to.parent}, or name another folder") from error
    if not os.access(to.parent, os.W_OK | os.X_OK):
        remedy = f"Make {to.parent} writable, or name another"
        raise UnusablePathError(str(to), "this user may not write its folder", remedy)
    if free < needed:
        cause = f"the copy needs {needed} bytes, and its disk has {free} left"
        raise TransientStoreError(str(to), cause, "Free some room, or name another folder")


def _taken(to: Path) -> UnusablePathError:
    return UnusablePathError(str(to), "a file or folder of this name exists", "Name another file, or remove this one")


def _copy(engine: Engine, part: Path) -> None:
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
    with translate_errors(engine), engine.connect() as connection, closing(sqlite3.connect(part)) as target:
        source: Any = connection.connection.driver_connection
        try:
            source.backup(target)  # in one step: one reader's view, which neither waits for writers nor delays them
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:  # the target's disk, not the store's
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise
    with part.open("rb") as written:
        os.fsync(written.fileno())
