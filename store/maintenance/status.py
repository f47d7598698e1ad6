"""Reports the size and the contents of a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import column, func, select, table
from sqlalchemy.exc import InvalidRequestError

from store import schema, sqlite
from store.engines import snapshot_engine
from store.error_messages import translate_errors
from store.errors import StoreError
from store.schema import VERSION_TABLE
from store.series_query import PARTITION_NS
from store.url import display

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_ticks, _chunks = schema.ticks.c, schema.chunks.c


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The state of a store. `path` is the user's name for it, `bytes` its size, None if the size is unknown.

    `log_bytes` is the part of the size that a SQLite file's write-ahead log takes. `quarantined` are damaged rows that
    a repair moved away, `unchecked` states whether rows of an older version lack checksums. A sample is one value of
    one channel; `hot_ticks` also count missing ones. `waiting_ticks` are complete parts of time that could be
    compacted. Times are Unix nanoseconds, None in a store without ticks.
    """

    path: str
    bytes: int | None
    schema_revision: str
    recordings: int
    hot_ticks: int
    waiting_ticks: int
    chunks: int
    rollups: int
    samples: int
    bytes_per_sample: float | None
    oldest_ns: int | None
    newest_ns: int | None
    runs: int
    profiles: int
    quarantined: int
    unchecked: bool
    log_bytes: int | None


def status(engine: Engine) -> StoreStatus:
    """Return the state of a store. Raises StoreError, also if damage prevents counting."""
    try:
        return _status(engine)
    except (TypeError, ValueError, InvalidRequestError) as error:
        cause = f"it is damaged, and its content cannot be counted ({error})"
        raise StoreError(display(engine.url), cause, "List the damage with `inferometer db check`") from error


def _status(engine: Engine) -> StoreStatus:
    with translate_errors(engine), snapshot_engine(engine).connect() as connection:
        counted = {name: _count(connection, name) for name in ("recordings", "chunks", "rollups", "runs", "profiles")}
        quarantined, unchecked = _count(connection, "quarantine"), bool(_count(connection, "unchecked"))
        hot, samples, oldest, newest = _hot(connection)
        packed = connection.execute(
            select(func.coalesce(func.sum(_chunks.samples), 0), func.min(_chunks.start_ns), func.max(_chunks.end_ns))
        ).one()
        samples += packed[0]
        oldest_ns = min(filter(None, (oldest, packed[1])), default=None)
        newest_ns = max(filter(None, (newest, packed[2])), default=None)
        over = (newest_ns or 0) // PARTITION_NS * PARTITION_NS
        waiting = connection.execute(select(func.count()).where(_ticks.start_ns < over)).scalar_one()
        revision = str(connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar_one())
    size = _size(engine)
    return StoreStatus(
        display(engine.url),
        size,
        revision,
        hot_ticks=hot,
        waiting_ticks=waiting,
        samples=samples,
        bytes_per_sample=size / samples if size and samples else None,
        oldest_ns=oldest_ns,
        newest_ns=newest_ns,
        quarantined=quarantined,
        unchecked=unchecked,
        log_bytes=sqlite.log_bytes(engine) if engine.dialect.name == "sqlite" else None,
        **counted,
    )


def _count(connection: Connection, name: str) -> int:
    return connection.execute(select(func.count()).select_from(schema.metadata.tables[name])).scalar_one()


def _hot(connection: Connection) -> tuple[int, int, int | None, int | None]:
    """Return the number of ticks that are still rows, of their values, and the first and last of their starts."""
    size = func.coalesce(func.sum(func.length(_ticks.readings)), 0)
    row = connection.execute(select(func.count(), size, func.min(_ticks.start_ns), func.max(_ticks.start_ns))).one()
    return row[0], int(row[1]) // 8, row[2], row[3]


def _size(engine: Engine) -> int | None:
    if engine.dialect.name == "sqlite":
        return sqlite.size(engine)
    if engine.dialect.name != "postgresql":
        return None
    with translate_errors(engine), engine.connect() as connection:
        return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())
