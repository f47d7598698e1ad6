"""Compares the schema of a SQLite store with this version's, without SQLAlchemy, whose import takes half a second."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

_VERSIONS = Path(__file__).parent / "migrations/versions"
_VERSION_TABLE = "inferometer_version"
_BUSY_SECONDS = 1.0


def newest_revision() -> str:
    """Return the number of the newest migration."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def is_current(path: Path) -> bool:
    """Return whether a store at `path` can be opened and has this version's schema; False in doubt."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", timeout=_BUSY_SECONDS, uri=True)) as database:
            found = database.execute(f"SELECT version_num FROM {_VERSION_TABLE}").fetchall()  # noqa: S608  a constant
    except sqlite3.Error:
        return False
    return found == [(newest_revision(),)]
