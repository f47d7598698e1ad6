"""Turns exceptions of database drivers into errors with the database, the cause and the remedy."""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from store.errors import ForeignHostError, StoreError, TransientStoreError, UnstorableError, UnusablePathError
from store.url import display

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

_DATABASE_LOCKED = "another program has locked it"

_SERVER = {
    "42501": (
        "this user has no permission for that",
        "Let the user own the database, or grant it this right; the owner of a fleet runs `inferometer fleet init`",
    ),
    "53100": ("the server's disk is full", "Free some space there; the stored data is safe"),
}
"""Causes and remedies by SQLSTATE, after appendix A of the PostgreSQL manual."""


_TRANSIENT_STATES = ("08", "23505", "40", "53", "55P03", "57P")
"""Prefixes of the SQLSTATE of a PostgreSQL server that is away, out of resources, locked or restarting, of a deadlock,
and of a number that another transaction took at the same moment.
"""
_UNSTORABLE_STATES = ("22", "23502", "23514", "54")
"""Prefixes of the SQLSTATE of a value that a column or an index cannot hold."""
_DENIED = "42501"
_ROW_SECURITY = "ExecWithCheckOptions"
"""The function of the server that reports a violation of row-level security (execMain.c); unlike the message, its name
is not translated to the language of the server. A missing right has the same SQLSTATE.
"""
_TRANSIENT_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def translate_errors(engine: Engine) -> Iterator[None]:
    """Turn exceptions of the database driver inside the block into a StoreError with a remedy."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        original = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(original, sqlite3.Error):
            raised = _from_sqlite(Path(str(engine.url.database)), original)
        else:
            raised = _from_postgresql(display(engine.url), original)
        raise raised from error
    except UnicodeDecodeError as error:  # SQLite quotes a damaged name in its message, which is then not valid text
        remedy = "Restore a backup, or use another one with --database"
        raise StoreError(display(engine.url), "the file is damaged", remedy) from error
    except (OverflowError, struct.error) as error:
        cause = f"it cannot hold a value ({error})"
        raise UnstorableError(display(engine.url), cause, "Report this; nothing of it was stored") from error


def _from_postgresql(database: str, error: BaseException | None) -> StoreError:
    words = getattr(getattr(error, "diag", None), "message_primary", None) or _without_hints(error)
    state = getattr(error, "sqlstate", None) or ""
    unreachable = (
        not state and type(error).__name__ == "OperationalError"
    )  # no server answered, so there is no SQLSTATE
    kind = TransientStoreError if state.startswith(_TRANSIENT_STATES) or unreachable else StoreError
    if state == _DENIED and getattr(error.diag, "source_function", None) == _ROW_SECURITY:  # type: ignore[union-attr]
        return ForeignHostError(database)
    if state.startswith(_UNSTORABLE_STATES):
        return UnstorableError(database, words.rstrip(".?! "), "Report this; nothing of it was stored")
    cause, remedy = _SERVER.get(state, ("", ""))
    if cause:
        return kind(database, f"{cause} ({words})", remedy)
    return kind(database, words.rstrip(".?! "), "Check the address, the user and that the server runs")


def _without_hints(error: BaseException | None) -> str:
    """Return the message of libpq in one line; its hints, which start with a tab, are left out."""
    return " ".join(line.strip() for line in str(error).splitlines() if not line.startswith("\t"))


def _from_sqlite(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and _no_room(path):
        code = sqlite3.SQLITE_FULL
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return UnusablePathError(str(path), *_access(path, error))
    if code == sqlite3.SQLITE_NOTADB:
        remedy = "Nothing was changed; use another one with --database"
        return UnusablePathError(str(path), "the file is not a SQLite database", remedy)
    known = {
        sqlite3.SQLITE_FULL: ("the disk is full", "Free some space; the stored data is safe"),
        sqlite3.SQLITE_CORRUPT: ("the file is damaged", "Restore a backup, or use another one with --database"),
        sqlite3.SQLITE_IOERR: (f"the disk failed to read or write ({error})", "Check the disk"),
        sqlite3.SQLITE_BUSY: (_DATABASE_LOCKED, f"Find it with: fuser {path}"),
        sqlite3.SQLITE_LOCKED: (_DATABASE_LOCKED, f"Find it with: fuser {path}"),
    }
    words = known.get(code, (str(error), f"Check it with: sqlite3 {path} 'PRAGMA integrity_check'"))
    return (TransientStoreError if code in _TRANSIENT_CODES else StoreError)(str(path), *words)


def _no_room(path: Path) -> bool:
    try:
        return os.statvfs(path.parent).f_bavail == 0
    except OSError:
        return False


def _access(path: Path, error: sqlite3.Error) -> tuple[str, str]:
    """Return the missing permission; SQLite only reports that it cannot open or write something."""
    elsewhere = "or use another one with --database"
    if not path.exists():
        return "it is gone", f"Start again to create it, {elsewhere}"
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "its file system is read-only", f"Mount it writable, {elsewhere}"
    if not os.access(path, os.R_OK):
        return "this user cannot read it", f"Run as its owner, {elsewhere}"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        cause = "this user cannot write its folder, and SQLite needs two files beside it"
        return cause, f"Make {path.parent} writable, read while the daemon runs, {elsewhere}"
    closed = [side for side in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if not _writable(side)]
    if closed:
        return f"this user cannot write {closed[0].name}", f"Run as its owner, {elsewhere}"
    return f"it cannot be used ({error})", f"Check {path.parent}, {elsewhere}"


def _writable(path: Path) -> bool:
    return not path.exists() or os.access(path, os.W_OK)
