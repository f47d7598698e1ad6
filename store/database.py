"""Opens a store: the engine, and the migrations that bring its tables up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    column,
    create_engine,
    insert,
    inspect,
    select,
    table,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from store import sqlite
from store.address import display, parse
from store.errors import MissingDatabaseError, StoreError
from store.explain import explained
from store.locks import daemon_lock, migration_lock
from store.schema import REVISION, VERSION_TABLE, metadata
from store.upgrade import refuse_newer, upgrade_in_child

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = ["BUSY_SECONDS", "connected", "daemon_lock", "durable", "open_database", "reading", "writing"]

BUSY_SECONDS = 10.0
"""How long another program may keep a SQLite file locked before that is an error."""


def open_database(url: str, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Open the store at a path or a SQLAlchemy URL and bring its tables up to date.

    With `create` False an absent database is a MissingDatabaseError instead of a new store. Raises StoreError.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        sqlite.prepare_file(Path(str(parsed.database)), create=create)
    engine = connected(parsed, busy_seconds)
    try:
        with explained(engine):
            _migrate(engine, busy_seconds, create=create)
            if engine.dialect.name == "sqlite":
                sqlite.use_wal(engine, busy_seconds)
    except BaseException:
        engine.dispose()
        raise
    return engine


def reading(engine: Engine) -> Engine:
    """Return the engine whose transactions see one state of the store from their first question to their last."""
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="REPEATABLE READ")


def writing(engine: Engine) -> Engine:
    """Return the engine whose transactions take SQLite's write lock when they begin, not half-way through."""
    return engine.execution_options(writes=True)


def durable(engine: Engine) -> Engine:
    """Return the engine that writes, and whose commits are on the disk when they return, power cut or not."""
    return engine.execution_options(writes=True, durable=True)


def connected(url: URL, busy_seconds: float) -> Engine:
    """Return the engine of a database as it is, whatever tables it has. Raises StoreError if it cannot be one."""
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        sqlite.set_up(engine, busy_seconds)
    return engine


def _engine(url: URL) -> Engine:
    database = display(url)
    settings: dict[str, Any] = {}
    if url.drivername == "postgresql+psycopg" and "connect_timeout" not in url.query:
        settings["connect_timeout"] = 10  # the driver's own 130 s outlast a service's start
    try:
        engine = create_engine(url, connect_args=settings)
    except NoSuchModuleError as error:
        remedy = "Give a path, or a URL such as postgresql://user@host/database"
        raise StoreError(database, f"no kind of database is called {url.drivername!r}", remedy) from error
    except ArgumentError as error:
        raise StoreError(database, str(error), "Check the URL") from error
    except ImportError as error:
        remedy = "Install its driver next to inferometer, for PostgreSQL: pip install 'psycopg[binary]'"
        raise StoreError(database, f"its driver is not installed ({error})", remedy) from error
    if engine.dialect.is_async:
        raise StoreError(database, f"{url.drivername} is asynchronous", "Name another driver: postgresql+psycopg://...")
    return engine


def _migrate(engine: Engine, busy_seconds: float, *, create: bool) -> None:
    with engine.connect() as connection:
        found = _revision(connection, engine.url)
    if found is None and not create:
        raise MissingDatabaseError(display(engine.url))
    if found is None:
        with writing(engine).connect() as connection:
            if engine.dialect.name == "sqlite":
                sqlite.let_shrink(connection)
            with connection.begin(), migration_lock(connection):
                if _revision(connection, engine.url) is None:
                    _make_tables(connection)
    elif found != REVISION:
        refuse_newer(engine.url, found)
        engine.dispose()  # no connection is open while another process works on the file
        upgrade_in_child(engine.url, busy_seconds)


def _revision(connection: Connection, url: URL) -> str | None:
    """Return the migration a database is at, None for an empty one; raises StoreError if it is not a store."""
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    if tables:
        cause = f"this is some other program's database (it has a table {min(tables)!r})"
        raise StoreError(display(url), cause, "Nothing was changed; name another one with --database")
    return None


def _make_tables(connection: Connection) -> None:
    """Make the tables of a new store as the newest migration leaves them, which a test holds them to."""
    metadata.create_all(connection, checkfirst=False)
    version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))
    version.create(connection)
    connection.execute(insert(version).values(version_num=REVISION))
