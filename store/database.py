"""Opens a store: the engine, and the migrations that bring its tables up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, column, create_engine, inspect, select, table
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from store import sqlite
from store.address import display, parse
from store.errors import MissingDatabaseError, StoreError
from store.explain import explained
from store.locks import daemon_lock, migration_lock
from store.schema import REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = ["BUSY_SECONDS", "daemon_lock", "durable", "open_database", "writing"]

BUSY_SECONDS = 10.0
"""How long another program may keep a SQLite file locked before that is an error."""


def open_database(url: str, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Open the store at a path or a SQLAlchemy URL and bring its tables up to date.

    With `create` False an absent database is a MissingDatabaseError instead of a new store. Raises StoreError.
    """
    parsed = parse(url)
    on_file = parsed.get_backend_name() == "sqlite"
    if on_file:
        sqlite.prepare_file(Path(str(parsed.database)), create=create)
    engine = _engine(parsed)
    if on_file:
        sqlite.set_up(engine, busy_seconds)
    try:
        with explained(engine):
            _migrate(engine, create=create)
            if on_file:
                sqlite.use_wal(engine, busy_seconds)
    except BaseException:
        engine.dispose()
        raise
    return engine


def writing(engine: Engine) -> Engine:
    """Return the engine whose transactions take SQLite's write lock when they begin, not half-way through."""
    return engine.execution_options(writes=True)


def durable(engine: Engine) -> Engine:
    """Return the engine that writes, and whose commits are on the disk when they return, power cut or not."""
    return engine.execution_options(writes=True, durable=True)


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


def _migrate(engine: Engine, *, create: bool) -> None:
    with engine.connect() as connection:
        found = _revision(connection, engine.url)
    if found is None and not create:
        raise MissingDatabaseError(display(engine.url))
    if found != REVISION:
        with writing(engine).begin() as connection, migration_lock(connection):
            _upgrade(connection, engine.url)


def _revision(connection: Connection, url: URL) -> str | None:
    """Return the migration a database is at, None for an empty one; raises StoreError if it is not a store."""
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    if tables:
        cause = f"this is some other program's database (it has a table {min(tables)!r})"
        raise StoreError(display(url), cause, "Nothing was changed; name another one with --database")
    return None


def _upgrade(connection: Connection, url: URL) -> None:
    """Run the missing migrations inside the caller's transaction. Alembic is slow to import, so only here."""
    from alembic import command  # noqa: PLC0415  slow to import
    from alembic.config import Config  # noqa: PLC0415  slow to import
    from alembic.script import ScriptDirectory  # noqa: PLC0415  slow to import

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    found = _revision(connection, url)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        cause = f"its schema {found} is of a newer Inferometer than this one (which knows {REVISION})"
        raise StoreError(display(url), cause, "Upgrade inferometer, or name another database with --database")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
