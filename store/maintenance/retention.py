"""Removes rows beyond the limits of age and size, except those of stored runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, or_, select

from store import schema, serving_hours, sqlite
from store.engines import write_engine
from store.error_messages import translate_errors
from store.errors import StoreError
from store.maintenance.rollup import MINUTE_NS
from store.url import display

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Engine, Table

_recordings, _layouts, _runs = schema.recordings, schema.layouts, schema.runs

RUN_MARGIN_NS = 60 * 10**9
"""The time before and after a run whose samples stay too."""
MIN_AGE_NS = 2 * 3600 * 10**9
"""The age below which nothing is removed for its size: if profiles filled a file, no sample would stay."""
_BATCH_ROWS = 500
"""The number of rows removed in one transaction."""
_GRACE_NS = 3600 * 10**9
"""The age below which a recording without samples stays."""


@dataclass(frozen=True, slots=True)
class Retention:
    """The age limit of samples, the size limit of a SQLite file, the age limit of roll-ups and hours of traffic.

    None is no limit.

    Rows younger than `MIN_AGE_NS` stay at any size of the file.
    """

    seconds: float | None = None
    bytes: int | None = None
    rollup_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PruneResult:
    """The number of removed rows of each kind, the bytes returned to the disk, and the remaining size.

    `too_large` states that the size exceeds the limit after all removals, `needs_vacuum` that a file of an old version
    cannot shrink until VACUUM has run once.
    """

    ticks: int = 0
    chunks: int = 0
    rejections: int = 0
    rollups: int = 0
    recordings: int = 0
    freed_bytes: int = 0
    size_bytes: int | None = None
    too_large: bool = False
    needs_vacuum: bool = False
    serving_hours: int = 0


def prune(engine: Engine, retention: Retention, now_ns: int) -> PruneResult:
    """Remove the rows beyond the limits of `retention`. Raises StoreError, also for a size limit on a server."""
    on_file = engine.dialect.name == "sqlite"
    if retention.bytes is not None and not on_file:
        remedy = "Limit the samples by age, and the server's disk by the server's means"
        raise StoreError(display(engine.url), "only a SQLite file can have a size limit", remedy)
    with translate_errors(engine):
        before = sqlite.size(engine) if on_file else 0
        if on_file:
            sqlite.truncate_log(engine)
        pruned = _by_age(engine, retention, now_ns)
        if retention.bytes is not None:
            pruned = _by_size(engine, pruned, retention.bytes, now_ns - MIN_AGE_NS)
        pruned = replace(pruned, recordings=_repeat_until_empty(partial(_empty_recordings, engine, now_ns)))
        if not on_file:
            return pruned
        shrunk = sqlite.reclaim(engine)
        sqlite.truncate_log(engine)
        size = sqlite.size(engine)
        left = sqlite.used_bytes(engine) + sqlite.log_bytes(engine)
        too_large = retention.bytes is not None and left > retention.bytes
        return replace(
            pruned, freed_bytes=max(0, before - size), size_bytes=size, too_large=too_large, needs_vacuum=not shrunk
        )


def _by_age(engine: Engine, retention: Retention, now_ns: int) -> PruneResult:
    pruned = PruneResult()
    if retention.rollup_seconds is not None:
        oldest = (now_ns - round(retention.rollup_seconds * 1e9)) // MINUTE_NS
        pruned = replace(pruned, rollups=_repeat_until_empty(partial(_oldest_rollups, engine, oldest)))
        with write_engine(engine).begin() as connection:
            pruned = replace(pruned, serving_hours=serving_hours.delete_before(connection, oldest * MINUTE_NS))
    if retention.seconds is None:
        return pruned
    oldest_ns = now_ns - round(retention.seconds * 1e9)
    return replace(
        pruned,
        chunks=_repeat_until_empty(partial(_delete_oldest, engine, schema.chunks, "start_ns", "end_ns", oldest_ns)),
        ticks=_repeat_until_empty(partial(_delete_oldest, engine, schema.ticks, "start_ns", "end_ns", oldest_ns)),
        rejections=_repeat_until_empty(partial(_delete_oldest, engine, schema.rejections, "at_ns", "at_ns", oldest_ns)),
    )


def _repeat_until_empty(remove: Callable[[], int]) -> int:
    """Call `remove`, one transaction each, until it removes nothing; return the total number."""
    removed = 0
    while gone := remove():
        removed += gone
    return removed


def _delete_oldest(engine: Engine, table: Table, start: str, end: str, before_ns: int) -> int:
    """Remove the oldest rows that no run needs, as many as one transaction takes; return their number."""
    wanted = select(table.c.id).join(_layouts, _layouts.c.id == table.c.layout_id)
    wanted = wanted.where(~belongs_to_run(table.c[start], table.c[end]), table.c[end] < before_ns)
    with write_engine(engine).begin() as connection:
        ids = connection.execute(wanted.order_by(table.c[end]).limit(_BATCH_ROWS)).scalars().all()
        connection.execute(delete(table).where(table.c.id.in_(ids)))
    return len(ids)


def belongs_to_run(start: ColumnElement[int], end: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a part of the layout's recording belongs to a run, which may still be running."""
    unended = _runs.c.ended_ns == 0
    return exists().where(
        _runs.c.recording_id == _layouts.c.recording_id,
        _runs.c.started_ns - RUN_MARGIN_NS <= end,
        or_(unended, _runs.c.ended_ns + RUN_MARGIN_NS >= start),
    )


def _by_size(engine: Engine, pruned: PruneResult, most_bytes: int, before_ns: int) -> PruneResult:
    """Remove the oldest chunks, then ticks, then roll-ups before a moment, until the rest fits the limit.

    The write-ahead log counts at its ordinary size; the part that a long reader adds shrinks without pruning.
    """
    log_bytes = min(sqlite.log_bytes(engine), sqlite.LOG_BYTES)
    until_it_fits = partial(_repeat_while_larger, engine, most_bytes - log_bytes)
    return replace(
        pruned,
        chunks=pruned.chunks
        + until_it_fits(partial(_delete_oldest, engine, schema.chunks, "start_ns", "end_ns", before_ns)),
        ticks=pruned.ticks
        + until_it_fits(partial(_delete_oldest, engine, schema.ticks, "start_ns", "end_ns", before_ns)),
        rollups=pruned.rollups + until_it_fits(partial(_oldest_rollups, engine, before_ns // MINUTE_NS)),
    )


def _repeat_while_larger(engine: Engine, most_bytes: int, remove: Callable[[], int]) -> int:
    removed = 0
    while sqlite.used_bytes(engine) > most_bytes and (gone := remove()):
        removed += gone
    return removed


def _oldest_rollups(engine: Engine, before: int) -> int:
    """Remove the roll-ups of the oldest minutes before one, as many as one transaction takes; return their number."""
    minute = schema.rollups.c.minute
    old = select(minute).where(minute < before).order_by(minute)
    with write_engine(engine).begin() as connection:
        last = connection.execute(old.limit(1).offset(_BATCH_ROWS - 1)).scalar()
        oldest = minute < before if last is None else minute <= last
        return connection.execute(delete(schema.rollups).where(oldest)).rowcount


def _empty_recordings(engine: Engine, now_ns: int) -> int:
    """Remove recordings without any rows, except the newest of a program, which may still be recording.

    Returns their number, at most one transaction's.
    """
    newer = _recordings.alias()
    of_it = _layouts.c.recording_id == _recordings.c.id
    inside = (schema.ticks, schema.chunks, schema.rejections)
    left = [exists().where(of_it, table.c.layout_id == _layouts.c.id) for table in inside]
    left += [exists().where(table.c.recording_id == _recordings.c.id) for table in (_runs, schema.rollups)]
    follower = exists().where(
        newer.c.host_id == _recordings.c.host_id,
        newer.c.program == _recordings.c.program,
        newer.c.started_ns > _recordings.c.started_ns,
    )
    empty = select(_recordings.c.id).where(~or_(*left), follower, _recordings.c.started_ns < now_ns - _GRACE_NS)
    with write_engine(engine).begin() as connection:
        ids = connection.execute(empty.limit(_BATCH_ROWS)).scalars().all()
        connection.execute(delete(_layouts).where(_layouts.c.recording_id.in_(ids)))
        connection.execute(delete(_recordings).where(_recordings.c.id.in_(ids)))
    return len(ids)
