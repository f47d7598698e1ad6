"""Creates the SQLAlchemy engine of a database, and its variants for reading, writing and durable writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from store import sqlite
from store.errors import StoreError, UnusablePathError
from store.url import display

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_BACKENDS = ("sqlite", "postgresql")
_CONNECTION_TIMEOUTS = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_CONNECTION_TIMEOUTS["tcp_user_timeout"] = 20_000
"""Seconds, and milliseconds, after which a server counts as away; the system's own defaults are minutes (libpq's
manual).
"""


def snapshot_engine(engine: Engine) -> Engine:
    """Return the engine whose transactions see one state of the store from beginning to end."""
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="REPEATABLE READ")


def write_engine(engine: Engine) -> Engine:
    """Return the engine whose transactions take SQLite's write lock at their beginning, not in the middle."""
    return engine.execution_options(writes=True)


def durable(engine: Engine) -> Engine:
    """Return the engine for writing whose commits are on the disk when they return, even after a power cut."""
    return engine.execution_options(writes=True, durable=True)


def create_store_engine(url: URL, busy_seconds: float) -> Engine:
    """Return the engine of a database, with any tables. Raises UnusablePathError."""
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        sqlite.set_up(engine, busy_seconds)
    return engine


def _engine(url: URL) -> Engine:
    database = display(url)
    settings: dict[str, Any] = {}
    if url.get_backend_name() not in _BACKENDS:
        remedy = "Give a path, or a URL such as postgresql://user@host/database"
        cause = f"a store is a SQLite file or a PostgreSQL database, not {url.drivername!r}"
        raise UnusablePathError(database, cause, remedy)
    if url.drivername == "postgresql+psycopg":
        settings = {name: value for name, value in _CONNECTION_TIMEOUTS.items() if name not in url.query}
    try:
        engine = create_engine(url, connect_args=settings)
    except NoSuchModuleError as error:
        remedy = "Name another driver: postgresql+psycopg://..."
        raise UnusablePathError(database, f"there is no driver {url.drivername!r}", remedy) from error
    except ArgumentError as error:
        raise UnusablePathError(database, str(error), "Check the URL") from error
    except ImportError as error:
        remedy = "Install its driver next to inferometer, for PostgreSQL: pip install 'inferometer[postgresql]'"
        raise StoreError(database, f"its driver is not installed ({error})", remedy) from error
    if engine.dialect.is_async:
        remedy = "Name another driver: postgresql+psycopg://..."
        raise UnusablePathError(database, f"{url.drivername} is asynchronous", remedy)
    return engine
