"""Upgrades the tables of an older version, after a copy of the database was made."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

from store.backup import backup
from store.daemon_lock import exclude_daemons
from store.engines import write_engine
from store.errors import StoreError, StoreInUseError
from store.locks import migration_lock
from store.schema import REVISION, VERSION_TABLE
from store.url import display

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

_MIGRATIONS = Path(__file__).parent / "migrations"
_UNFINISHED = "unfinished"
"""The suffix of a copy until its upgrade is complete: the next one replaces it, so there is at most one."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The schema revisions before and after an upgrade, and the copy of the previous database, if any."""

    before: str
    after: str
    copy: Path | None = None


def revision(connection: Connection, url: URL) -> str | None:
    """Return the schema revision of a database, None for an empty one. Raises StoreError if it is not a store."""
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    if tables:
        cause = f"this is another program's database (it has a table {min(tables)!r})"
        raise StoreError(display(url), cause, "Nothing was changed; use another one with --database")
    return None


def refuse_newer(url: URL, found: str) -> None:
    """Raise StoreError if a database is at a migration that this version does not have."""
    if not any((_MIGRATIONS / "versions").glob(f"{found}_*.py")):
        cause = f"its schema {found} is newer than this Inferometer's ({REVISION})"
        raise StoreError(display(url), cause, "Upgrade inferometer, or use another database with --database")


def upgrade(engine: Engine, report: Callable[[str], object] = lambda _: None) -> Upgrade:
    """Copy a SQLite file beside itself, then run the missing migrations in one transaction.

    A database that another process upgraded meanwhile is left unchanged. If a migration fails, the database is
    unchanged, and the copy is removed. `report` receives a line before each step. Raises StoreError, also if a daemon
    writes to the database: one of an older version would continue without checksums.
    """
    with ExitStack() as after_commit, write_engine(engine).begin() as connection, migration_lock(connection):
        before = revision(connection, engine.url) or ""
        refuse_newer(engine.url, before)
        if before == REVISION:
            return Upgrade(before, REVISION)
        _exclude_daemons(connection, before, after_commit)
        copy = _back_up(engine, before, report)
        try:
            report(f"upgrading from schema {before} to {REVISION}")
            _migrate(connection)
        except BaseException:  # after a signal, too, no copy of an upgrade that did not happen stays
            if copy is not None:
                copy.unlink(missing_ok=True)
            raise
    return Upgrade(before, REVISION, copy and _finish_copy(copy))


def _exclude_daemons(connection: Connection, before: str, stack: ExitStack) -> None:
    try:
        stack.enter_context(exclude_daemons(connection))
    except StoreInUseError as error:
        cause = f"its tables are of schema {before}, and {error.cause}, so they cannot be upgraded to {REVISION}"
        remedy = "Stop it, which may be of an older version (systemctl stop inferometer), and try again"
        raise StoreInUseError(error.database, cause, remedy) from error


def _back_up(engine: Engine, before: str, report: Callable[[str], object]) -> Path | None:
    """Copy a SQLite file under its write lock, so that the copy is the state before the migrations."""
    if engine.dialect.name != "sqlite":
        return None
    copy = Path(f"{engine.url.database}.schema-{before}.{_UNFINISHED}")
    report(f"copying the database to {copy}")
    try:
        for stale in (copy, *copy.parent.glob(f".{escape(copy.name)}.*.part")):  # of upgrades that were killed
            stale.unlink(missing_ok=True)
        backup(engine, copy)
    except StoreError as error:
        cause = f"its tables are of schema {before}, and no copy can be made before the upgrade to {REVISION}"
        remedy = f"The database is unchanged. {error.remedy}"
        raise type(error)(display(engine.url), f"{cause} ({error.cause})", remedy) from error
    return copy


def _finish_copy(copy: Path) -> Path:
    """Rename the copy of a complete upgrade to include the time; it keeps its name if that fails."""
    named = copy.with_suffix(f".{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    try:
        os.link(copy, named)  # unlike a rename, replaces no other file
        copy.unlink()
    except OSError:
        return copy
    return named


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  slow to import, and rarely needed
    from alembic.config import Config  # noqa: PLC0415  same

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
