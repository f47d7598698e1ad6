"""Opens a store: the engine, its migrations, and errors that name the file, the cause and the remedy."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from store.errors import MissingDatabaseError, StoreError
from store.schema import REVISION

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUSY_SECONDS = 10


def open_database(url: str, *, create: bool = True) -> Engine:
    """Open the store at a SQLAlchemy URL and bring its tables up to date.

    With `create` False a missing SQLite file is an error instead of a new store. Raises StoreError.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _prepare_file(parsed, create=create)
    try:
        engine = create_engine(parsed)
    except (ImportError, NoSuchModuleError) as error:
        remedy = "Install its driver next to inferometer, for PostgreSQL: pip install 'psycopg[binary]'"
        raise StoreError(_display(parsed), str(error), remedy) from error
    if parsed.get_backend_name() == "sqlite":
        _set_up_sqlite(engine)
    try:
        _migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Turn what the database driver raises inside into a StoreError that says what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _explain(engine.url, error) from error


@contextmanager
def daemon_lock(engine: Engine) -> Iterator[None]:
    """Hold the store for one daemon; raises StoreError if another daemon has it.

    For SQLite a lock on a file beside the database, which the kernel drops when the process ends; for a server an
    advisory lock of one open connection. Other processes may still write their own recordings.
    """
    if engine.url.get_backend_name() == "sqlite":
        with _file_lock(Path(f"{engine.url.database}.daemon")):
            yield
        return
    with engine.connect() as connection:
        if engine.url.get_backend_name() == "postgresql":
            key = 0x1FE20E7E2  # any number that no one else takes
            if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
                raise _in_use(_display(engine.url), "on some host")
        yield


def _in_use(database: str, whose: str) -> StoreError:
    remedy = "Stop that one (systemctl stop inferometer), or give this one a --database of its own"
    return StoreError(database, f"a daemon ({whose}) already writes here", remedy)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise _in_use(str(path.with_suffix("")), f"process {holder}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _parse(url: str) -> URL:
    try:
        return make_url(url if "://" in url else f"sqlite:///{url}")
    except ArgumentError as error:
        remedy = "Give a path, or a URL such as sqlite:////var/lib/inferometer/inferometer.db"
        raise StoreError(url, "this is no database URL", remedy) from error


def _display(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True)


def _prepare_file(url: URL, *, create: bool) -> None:
    path = Path(url.database or "")
    if not url.database or url.database == ":memory:":
        raise StoreError(str(url), "an in-memory database keeps nothing", "Give a path of a file")
    if path.exists():
        return
    if not create:
        remedy = "Run `inferometer profile transformer` first, or name another one with --database"
        raise MissingDatabaseError(str(path), "there is no database here yet", remedy)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        remedy = "Choose a writable place with --database PATH"
        raise StoreError(str(path), f"its folder cannot be made ({error.strerror})", remedy) from error


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions itself, below
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writing(engine: Engine) -> Engine:
    """Return the engine whose transactions take SQLite's write lock when they begin, not half-way through."""
    return engine.execution_options(writes=True)


def _migrate(engine: Engine) -> None:
    with explained(engine):
        with engine.connect() as connection:
            found = _revision(connection)
        if found == REVISION:
            return
        with writing(engine).begin() as connection:
            _upgrade(connection, engine.url)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, url: URL) -> None:
    """Run the missing migrations inside the caller's transaction. Alembic is slow to import, so only here."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    found = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        cause = f"its schema {found} is of a newer Inferometer than this one (which knows {REVISION})"
        raise StoreError(_display(url), cause, "Upgrade inferometer, or name another database with --database")
    if found is None and (tables := inspect(connection).get_table_names()):
        cause = f"this is some other program's database (it has a table {min(tables)!r})"
        raise StoreError(_display(url), cause, "Name another database with --database")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _explain(url: URL, error: DBAPIError) -> StoreError:
    database = _display(url)
    original = error.orig
    if not isinstance(original, sqlite3.Error):
        return StoreError(database, str(original).strip(), "Check the address, the user and that the server runs")
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    causes = {
        sqlite3.SQLITE_NOTADB: ("the file is no SQLite database", "Nothing was changed; name another with --database"),
        sqlite3.SQLITE_CORRUPT: ("the file is damaged", "Nothing was changed; restore a backup or name another one"),
        sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", f"Make {Path(database).parent} writable or use --database"),
        sqlite3.SQLITE_READONLY: (
            "it cannot be written",
            f"Make it and {Path(database).parent} writable for this user",
        ),
        sqlite3.SQLITE_FULL: ("the disk is full", "Free some room; what is stored is safe"),
        sqlite3.SQLITE_IOERR: ("the disk does not take or give what is asked", "Check the disk and its free room"),
        sqlite3.SQLITE_BUSY: ("another program keeps it locked", f"Find it with: fuser {database}"),
    }
    cause, remedy = causes.get(code, (str(original), "The words are the database engine's own"))
    return StoreError(database, cause, remedy)
