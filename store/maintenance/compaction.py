"""Compacts rows of ticks to chunks and one-minute roll-ups, each chunk in its own short transaction."""

from __future__ import annotations

import math
import struct
import time
from bisect import bisect_right
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, or_, select, update

from store import schema, sqlite
from store.codec import chunks
from store.codec.checksums import NAME, ChecksumAppender
from store.damage import RowVerifier, wrong_length
from store.engines import snapshot_engine, write_engine
from store.error_messages import translate_errors
from store.layouts import channel_ids
from store.maintenance.checksum_backfill import backfill_checksums
from store.maintenance.quarantine import move_row
from store.maintenance.rollup import RollupKey, SampleTimes, canonical_channels, merge_rollups, roll_up
from store.records import ROLLUP_COLUMNS, Rollup
from store.rows import delete_ids, insert_all, stored_row, unpack
from store.series_query import PARTITION_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Engine, Row, RowMapping

    from store.damage import Damage, Report
    from store.maintenance.rollup import Sample

_MAX_VALUES, _MAX_TICKS = 1 << 16, 1 << 12
"""The largest chunk, which bounds the memory, the length of a transaction, and the work of one query."""
_SAMPLE = struct.Struct("<qd")
_CHUNK_COLUMNS = ("layout_id", "start_ns", "end_ns", "ticks", "samples", "packed")
_values = attrgetter(*ROLLUP_COLUMNS)
_ticks, _layouts, _rollups = schema.ticks, schema.layouts, schema.rollups
_append_chunk_checksums, _append_rollup_checksums = (
    ChecksumAppender(schema.chunks, _CHUNK_COLUMNS),
    ChecksumAppender(schema.rollups, ROLLUP_COLUMNS),
)


@dataclass(frozen=True, slots=True)
class Compaction:
    """The result of a compaction: created chunks, their ticks, samples and size in bytes, and whether it completed.

    Rows in `damaged` are unchanged.
    """

    chunks: int = 0
    ticks: int = 0
    samples: int = 0
    bytes: int = 0
    complete: bool = True
    damaged: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Layout:
    """A layout during compaction: `carry_over` (column `seam`) is the last compacted sample of each channel, or None.

    `canonical` states for each channel whether its roll-ups come from this layout.
    """

    row: RowMapping
    channels: tuple[RollupKey, ...]
    canonical: Sequence[bool]
    carry_over: tuple[Sample | None, ...]


@dataclass(frozen=True, slots=True)
class _TickBatch:
    """The ticks of one chunk: their ids in the table, their moments, and the values of each channel."""

    ids: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]
    columns: Sequence[Sequence[float]]


def compact(engine: Engine, until_ns: int, *, pause: Callable[[], object] = lambda: None) -> Compaction:
    """Compact the ticks that start before `until_ns`, only whole parts of 600 s of Unix time.

    A reader sees every sample exactly once at any moment, even if the process is killed. `pause` is called after every
    chunk: it can wait to give others a turn, and ends the compaction if it returns true (`Event.wait` with a time does
    both). A damaged row or layout is skipped. Raises StoreError.
    """
    limit_ns = until_ns - until_ns % PARTITION_NS
    done = Compaction()
    damaged: list[Damage] = []
    with translate_errors(engine):
        for number in _layouts_with_ticks(engine, limit_ns):
            for packed in _chunks_of(engine, number, limit_ns, damaged.append):
                done = Compaction(
                    done.chunks + 1,
                    done.ticks + packed.ticks,
                    done.samples + packed.samples,
                    done.bytes + packed.bytes,
                )
                if pause():
                    return replace(done, complete=False, damaged=tuple(damaged))
        complete = backfill_checksums(engine, pause)
        if engine.dialect.name == "sqlite" and sqlite.log_bytes(engine) > sqlite.LOG_BYTES:
            sqlite.truncate_log(engine)
    return replace(done, complete=complete, damaged=tuple(damaged))


def _chunks_of(engine: Engine, number: int, limit_ns: int, report: Report) -> Iterator[Compaction]:
    """Create the chunks of a layout one by one, starting at its oldest tick."""
    place = (-(1 << 63), 0)
    while True:
        with snapshot_engine(engine).connect() as connection:
            verifier = RowVerifier(connection, report)
            layout = _layout(connection, number, verifier)
            if layout is None:
                return
            rows = _next_rows(connection, layout, limit_ns, place)
            batch = _tick_batch(rows, layout, verifier)
        if not rows:
            return
        place = (rows[-1].start_ns, rows[-1].id)
        if batch is None:
            continue
        packed = _compact_one(engine, layout, batch, report)
        if packed is None:  # another process creates this chunk at the same moment
            return
        yield packed


def _layouts_with_ticks(engine: Engine, limit_ns: int) -> Sequence[int]:
    with engine.connect() as connection:
        some = select(_ticks.c.id).where(_ticks.c.layout_id == _layouts.c.id, _ticks.c.start_ns < limit_ns).exists()
        return connection.execute(select(_layouts.c.id).where(some).order_by(_layouts.c.id)).scalars().all()


def _compact_one(engine: Engine, layout: _Layout, batch: _TickBatch, report: Report) -> Compaction | None:
    """Create one chunk; None, and nothing changed, if one of its ticks was deleted."""
    packed = chunks.pack(batch.starts, batch.ends, batch.columns)
    samples = sum(len(column) - sum(map(math.isnan, column)) for column in batch.columns)
    rollups, carry_over = _aggregate(layout, batch)
    with write_engine(engine).begin() as connection:
        if delete_ids(connection, _ticks, batch.ids) != len(batch.ids):
            connection.rollback()
            return None
        row = (layout.row["id"], batch.starts[0], batch.starts[-1], len(batch.ids), samples, packed)
        insert_all(connection, schema.chunks, (*_CHUNK_COLUMNS, NAME), _append_chunk_checksums([row]))
        _add_rollups(connection, layout, rollups, report)
        changed = stored_row(_layouts, {**layout.row, "seam": carry_over})
        connection.execute(update(_layouts).where(_layouts.c.id == layout.row["id"]).values(**changed))
    return Compaction(1, len(batch.ids), samples, len(packed))


def _next_rows(connection: Connection, layout: _Layout, limit_ns: int, place: tuple[int, int]) -> Sequence[Row[Any]]:
    """Return the ticks of the next chunk: those after `place` (a start and an id) in one part of time."""
    start_ns, number = place
    behind = or_(_ticks.c.start_ns > start_ns, and_(_ticks.c.start_ns == start_ns, _ticks.c.id > number))
    wanted = (
        select(_ticks)
        .where(_ticks.c.layout_id == layout.row["id"], behind, _ticks.c.start_ns.between(start_ns, limit_ns - 1))
        .order_by(_ticks.c.start_ns, _ticks.c.id)
    )
    most = max(1, min(_MAX_TICKS, _MAX_VALUES // max(1, len(layout.channels))))
    found = connection.execute(wanted.limit(most)).all()
    if not found:
        return ()
    partition = found[0].start_ns // PARTITION_NS
    return found[: bisect_right(found, partition, key=lambda row: row.start_ns // PARTITION_NS)]


def _tick_batch(rows: Sequence[Row[Any]], layout: _Layout, verifier: RowVerifier) -> _TickBatch | None:
    """Return the intact ticks among some as a batch, None if there are none."""
    length = 8 * len(layout.channels)
    sound = []
    for row in rows:
        tick = (row.id, row.start_ns, row.end_ns, row.readings, row.checksum)
        cause = verifier.tick_damage_cause(layout.row["id"], tick)
        if not cause and len(row.readings) != length:
            cause = wrong_length(row.readings, length)
        if cause:
            verifier.report_damage(_ticks, (row.id,), cause)
        else:
            sound.append(row)
    if not sound:
        return None
    values = unpack(b"".join(row.readings for row in sound))
    return _TickBatch(
        [row.id for row in sound],
        [row.start_ns for row in sound],
        [row.end_ns for row in sound],
        [values[position :: len(layout.channels)] for position in range(len(layout.channels))],
    )


def _layout(connection: Connection, number: int, verifier: RowVerifier) -> _Layout | None:
    """Return a layout, or None after reporting damage of it or of the rows it refers to."""
    row = connection.execute(select(_layouts).where(_layouts.c.id == number)).mappings().one()
    ids = channel_ids(row, verifier)
    if ids is None:
        return None
    table = schema.channels
    metrics = connection.execute(select(table).where(table.c.id.in_(ids))).mappings()
    named = {each["id"]: each["metric"] for each in metrics if verifier.is_intact(table, each)}
    if not named.keys() >= set(ids):
        verifier.report_damage(_layouts, (number,), "some of its channels are damaged or missing")
        return None
    subjects = tuple(RollupKey(channel, row["recording_id"], named[channel]) for channel in ids)
    return _Layout(row, subjects, _canonical_channels(connection, row), _carry_over(row["seam"], len(ids)))


def _canonical_channels(connection: Connection, row: RowMapping) -> Sequence[bool]:
    before = (_layouts.c.recording_id == row["recording_id"]) & (_layouts.c.id <= row["id"])
    found = connection.execute(select(_layouts).where(before).order_by(_layouts.c.id)).mappings().all()
    unreported = RowVerifier(connection, lambda _: None)  # the compaction of that layout reports it
    return canonical_channels(channel_ids(each, unreported) or [] for each in found)[-1]


def _carry_over(stored: bytes | None, channels: int) -> tuple[Sample | None, ...]:
    if stored is None:
        return (None,) * channels
    return tuple(None if math.isnan(value) else (at, value) for at, value in _SAMPLE.iter_unpack(stored))


def _aggregate(layout: _Layout, batch: _TickBatch) -> tuple[list[Rollup], bytes]:
    """Return the roll-ups of ticks, and the last sample of each channel after them."""
    moments = SampleTimes.of([(start + end) // 2 for start, end in zip(batch.starts, batch.ends, strict=True)])
    rollups: list[Rollup] = []
    carry_over = []
    columns = zip(layout.channels, layout.canonical, batch.columns, layout.carry_over, strict=True)
    for subject, is_canonical, values, before in columns:
        found, last = roll_up(subject, moments, values, before) if is_canonical else ([], None)
        rollups += found
        carry_over.append(_SAMPLE.pack(*(last or (0, math.nan))))
    return rollups, b"".join(carry_over)


def _add_rollups(connection: Connection, layout: _Layout, rollups: Sequence[Rollup], report: Report) -> None:
    """Insert roll-ups, each merged with the earlier one of its minute and channel.

    A damaged one goes into quarantine, because its sums must not become part of an intact one.
    """
    if not rollups:
        return
    columns = _rollups.c
    minutes = [rollup.minute for rollup in rollups]
    shared = (columns.recording_id == layout.row["recording_id"]) & columns.minute.between(min(minutes), max(minutes))
    shared &= columns.channel_id.in_({rollup.channel_id for rollup in rollups})
    verifier = RowVerifier(connection, report)
    known = {}
    for row in connection.execute(select(_rollups).where(shared)).mappings().all():
        if verifier.is_intact(_rollups, row):
            known[row["minute"], row["channel_id"]] = Rollup(*(row[each] for each in ROLLUP_COLUMNS))
        else:
            move_row(connection, _rollups, row, verifier.fault(_rollups, row), time.time_ns())
    connection.execute(delete(_rollups).where(shared))
    for rollup in rollups:
        key = (rollup.minute, rollup.channel_id)
        known[key] = merge_rollups(known[key], rollup) if key in known else rollup
    rows = _append_rollup_checksums(_values(known[key]) for key in sorted(known))
    insert_all(connection, _rollups, (*ROLLUP_COLUMNS, NAME), rows)
