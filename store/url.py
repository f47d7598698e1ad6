"""Converts the address of a database to an SQLAlchemy URL, and back to text without a password."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from store.errors import UnusablePathError

_URL = re.compile(r"(\w[\w+]*):/", re.ASCII)  # one slash suffices to rule out a path
_EXAMPLE = "Give a path, or a URL such as postgresql://user@host/database"


def parse(text: str) -> URL:
    """Return the URL of a path or a URL; a SQLite path becomes absolute and free of links, so one file has one name.

    A bare `postgresql://` gets the driver psycopg. Raises UnusablePathError, which never repeats a password.
    """
    if not text:  # the configuration of a user without a home
        remedy = "Give its path with --database PATH, or set HOME"
        raise UnusablePathError("no database", "this user has no home folder for it", remedy)
    scheme = _URL.match(text)
    if scheme is None:
        return _sqlite(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # a chained error would show the password
        raise UnusablePathError(f"{scheme[1]}:...", "this is not a database URL", _EXAMPLE) from None
    if url.get_backend_name() == "sqlite":
        return _sqlite_url(url)
    if "@" in (url.host or ""):
        remedy = "Write it as %40, and / as %2F"
        cause = "a password with @ in it cannot be distinguished from the host"
        raise UnusablePathError(f"{scheme[1]}:...", cause, remedy)
    if url.drivername in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    return url


def display(url: URL) -> str:
    """Return the database's name for the user: the path of a SQLite file, or the URL without any password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    secret = [name for name in url.query if re.search("pass|secret", name, re.IGNORECASE)]
    return url.difference_update_query(secret).render_as_string(hide_password=True)


def _sqlite_url(url: URL) -> URL:
    if url.host:
        remedy = f"An absolute path takes four: sqlite:////{url.host}/{url.database or ''}"
        raise UnusablePathError(str(url), "two slashes name a server, which SQLite does not have", remedy)
    if url.query:
        remedy = "If a ? belongs to the file's name, give the path without sqlite:///"
        raise UnusablePathError(str(url), "a SQLite URL has no options here", remedy)
    return _sqlite(url.database or "")


def _sqlite(path: str) -> URL:
    if path in {"", ":memory:"}:
        raise UnusablePathError(path or "sqlite://", "an in-memory database stores nothing", "Give the path of a file")
    try:
        absolute = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UnusablePathError(repr(path), f"this is not a path ({error})", _EXAMPLE) from error
    return URL.create("sqlite", database=str(absolute))
