"""Turns rows a tick into chunks and one-minute roll-ups, each chunk in a short transaction of its own."""

from __future__ import annotations

import json
import math
import struct
from bisect import bisect_right
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update

from store import chunks, schema
from store.engines import reading, writing
from store.explain import explained
from store.records import Rollup
from store.rollup import Moments, Subject, owned, roll_up, together
from store.rows import delete_ids, insert_all, unpack
from store.stream import STRETCH_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine, Row

    from store.rollup import Sample

_MOST_VALUES, _MOST_TICKS = 1 << 16, 1 << 12
"""So much is packed at once: it bounds the memory, the length of a transaction, and what one question unpacks."""
_SEAM = struct.Struct("<qd")
_ROLLUP_COLUMNS = tuple(field.name for field in fields(Rollup))
_values = attrgetter(*_ROLLUP_COLUMNS)
_ticks, _layouts, _rollups = schema.ticks, schema.layouts, schema.rollups


@dataclass(frozen=True, slots=True)
class Compaction:
    """What was compacted: chunks made, of ticks and samples, their size in bytes; whether nothing was left to do."""

    chunks: int = 0
    ticks: int = 0
    samples: int = 0
    bytes: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is known of a layout: `seam` has the last sample of each channel that was compacted, None before any.

    `owned` says of each channel whether it is summed up here.
    """

    id: int
    recording_id: int
    channels: tuple[Subject, ...]
    owned: Sequence[bool]
    seam: tuple[Sample | None, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Ticks that make one chunk: their ids in the table, moments, and the values of each channel."""

    ids: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]
    columns: Sequence[Sequence[float]]


def compact(engine: Engine, until_ns: int, *, pause: Callable[[], object] = lambda: None) -> Compaction:
    """Compact the ticks that start before `until_ns`, whole stretches of 600 s of Unix time only.

    A reader sees every sample once at any moment, and a process that dies half-way leaves the store so as well.
    `pause` is called after every chunk: it may wait, so that others get their turn, and ends it all if it returns true
    (`Event.wait` with a time does both). Raises StoreError.
    """
    limit_ns = until_ns - until_ns % STRETCH_NS
    done = Compaction()
    with explained(engine):
        for number in _layouts_with_ticks(engine, limit_ns):
            while (packed := _compact_one(engine, number, limit_ns)) is not None:
                done = Compaction(
                    done.chunks + 1,
                    done.ticks + packed.ticks,
                    done.samples + packed.samples,
                    done.bytes + packed.bytes,
                )
                if pause():
                    return Compaction(done.chunks, done.ticks, done.samples, done.bytes, complete=False)
    return done


def _layouts_with_ticks(engine: Engine, limit_ns: int) -> Sequence[int]:
    with engine.connect() as connection:
        some = select(_ticks.c.id).where(_ticks.c.layout_id == _layouts.c.id, _ticks.c.start_ns < limit_ns).exists()
        return connection.execute(select(_layouts.c.id).where(some).order_by(_layouts.c.id)).scalars().all()


def _compact_one(engine: Engine, number: int, limit_ns: int) -> Compaction | None:
    """Make the next chunk of a layout; None if there is none, or if another process makes it at the same moment."""
    with reading(engine).connect() as connection:
        piece = _next_piece(connection, number, limit_ns)
        if piece is None:
            return None
        layout = _layout(connection, number)
    packed = chunks.pack(piece.starts, piece.ends, piece.columns)
    samples = sum(len(column) - sum(map(math.isnan, column)) for column in piece.columns)
    rollups, seam = _sum_up(layout, piece)
    with writing(engine).begin() as connection:
        if delete_ids(connection, _ticks, piece.ids) != len(piece.ids):
            connection.rollback()
            return None
        row = (layout.id, piece.starts[0], piece.starts[-1], len(piece.ids), samples, packed)
        columns = ("layout_id", "start_ns", "end_ns", "ticks", "samples", "packed")
        insert_all(connection, schema.chunks, columns, [row])
        _add_rollups(connection, layout, rollups)
        connection.execute(update(_layouts).where(_layouts.c.id == layout.id).values(seam=seam))
    return Compaction(1, len(piece.ids), samples, len(packed))


def _next_piece(connection: Connection, number: int, limit_ns: int) -> _Piece | None:
    wanted = (
        select(_ticks.c.id, _ticks.c.start_ns, _ticks.c.end_ns, _ticks.c.readings)
        .where(_ticks.c.layout_id == number, _ticks.c.start_ns < limit_ns)
        .order_by(_ticks.c.start_ns, _ticks.c.id)
    )
    first = connection.execute(wanted.limit(1)).first()
    if first is None:
        return None
    most = max(1, min(_MOST_TICKS, _MOST_VALUES * 8 // max(8, len(first.readings))))
    stretch = first.start_ns // STRETCH_NS
    found = connection.execute(wanted.limit(most)).all()
    rows = found[: bisect_right(found, stretch, key=lambda row: row.start_ns // STRETCH_NS)]
    ids, starts, ends, readings = zip(*rows, strict=True)
    values = unpack(b"".join(readings))
    channels = len(values) // len(ids)
    return _Piece(ids, starts, ends, [values[position::channels] for position in range(channels)])


def _layout(connection: Connection, number: int) -> _Layout:
    row = connection.execute(select(_layouts).where(_layouts.c.id == number)).one()
    ids = json.loads(row.channel_ids)
    table = schema.channels
    metrics = connection.execute(select(table.c.id, table.c.metric).where(table.c.id.in_(ids))).all()
    named = dict(map(tuple, metrics))
    subjects = tuple(Subject(channel, row.recording_id, named[channel]) for channel in ids)
    return _Layout(number, row.recording_id, subjects, _owned(connection, row), _seam(row.seam, len(ids)))


def _owned(connection: Connection, row: Row[Any]) -> Sequence[bool]:
    before = (_layouts.c.recording_id == row.recording_id) & (_layouts.c.id <= row.id)
    found = connection.execute(select(_layouts.c.channel_ids).where(before).order_by(_layouts.c.id)).scalars()
    return owned(map(json.loads, found))[-1]


def _seam(kept: bytes | None, channels: int) -> tuple[Sample | None, ...]:
    if kept is None:
        return (None,) * channels
    return tuple(None if math.isnan(value) else (at, value) for at, value in _SEAM.iter_unpack(kept))


def _sum_up(layout: _Layout, piece: _Piece) -> tuple[list[Rollup], bytes]:
    """Return the roll-ups of ticks, and the seam behind them."""
    moments = Moments.of([(start + end) // 2 for start, end in zip(piece.starts, piece.ends, strict=True)])
    rollups: list[Rollup] = []
    seam = []
    for subject, own, values, before in zip(layout.channels, layout.owned, piece.columns, layout.seam, strict=True):
        found, last = roll_up(subject, moments, values, before) if own else ([], None)
        rollups += found
        seam.append(_SEAM.pack(*(last or (0, math.nan))))
    return rollups, b"".join(seam)


def _add_rollups(connection: Connection, layout: _Layout, rollups: Sequence[Rollup]) -> None:
    """Insert roll-ups, each together with what an earlier chunk had of its minute and channel."""
    if not rollups:
        return
    columns = _rollups.c
    minutes = [rollup.minute for rollup in rollups]
    shared = (columns.recording_id == layout.recording_id) & columns.minute.between(min(minutes), max(minutes))
    shared &= columns.channel_id.in_({rollup.channel_id for rollup in rollups})
    known = {(row.minute, row.channel_id): Rollup(*row) for row in connection.execute(select(_rollups).where(shared))}
    connection.execute(delete(_rollups).where(shared))
    for rollup in rollups:
        key = (rollup.minute, rollup.channel_id)
        known[key] = together(known[key], rollup) if key in known else rollup
    insert_all(connection, _rollups, _ROLLUP_COLUMNS, [_values(known[key]) for key in sorted(known)])
