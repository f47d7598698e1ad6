"""Looks for what should never be: a damaged file, a chunk that is not what its row says, a sample kept twice."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections import Counter
from itertools import compress, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from store import chunks, schema
from store.engines import reading
from store.explain import explained
from store.rollup import MINUTE_NS, owned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Row

_ORDER = (schema.chunks.c.start_ns, schema.chunks.c.id)
_ticks, _chunks, _rollups, _layouts = schema.ticks.c, schema.chunks.c, schema.rollups.c, schema.layouts.c
_NOT_READABLE = (ValueError, IndexError, struct.error, zlib.error, OverflowError, ZeroDivisionError)
_Tally = Counter[tuple[int, int]]
"""How many finite samples there are of each (minute, channel)."""


def check(engine: Engine) -> tuple[str, ...]:
    """Return what is wrong with a store, a sentence each; nothing if all is well. Raises StoreError.

    Reads every chunk. What others write meanwhile is not looked at.
    """
    with explained(engine), reading(engine).connect() as connection:
        return (*_of_file(connection), *_of_layouts(connection))


def _of_file(connection: Connection) -> Iterator[str]:
    if connection.dialect.name != "sqlite":
        return
    for (words,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if words != "ok":
            yield f"The file is damaged: {words}"
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"Row {row} of {table} belongs to a row of {parent} that is not there"


def _of_layouts(connection: Connection) -> Iterator[str]:
    for layout, recording, channels, own in _layouts_of(connection):
        tally: _Tally = Counter()
        for number in connection.execute(select(_chunks.id).where(_chunks.layout_id == layout).order_by(*_ORDER)):
            row = connection.execute(select(schema.chunks).where(_chunks.id == number[0])).one()
            yield from _of_rollups(connection, recording, _taken(tally, row.start_ns // MINUTE_NS))
            try:
                faults = [*_of_chunk(row, channels, own, tally), *_twice(connection, row)]
            except _NOT_READABLE as error:
                faults = [f"it cannot be unpacked ({error})"]
            yield from (f"Chunk {row.id}: {fault}" for fault in faults)
        yield from _of_rollups(connection, recording, tally)


def _layouts_of(connection: Connection) -> Iterator[tuple[int, int, list[int], list[bool]]]:
    """Yield every layout and its recording, the ids of its channels, and which of them it sums up."""
    columns = select(_layouts.id, _layouts.recording_id, _layouts.channel_ids)
    rows = connection.execute(columns.order_by(_layouts.recording_id, _layouts.id)).all()
    for recording, group in groupby(rows, attrgetter("recording_id")):
        layouts = [(row.id, json.loads(row.channel_ids)) for row in group]
        for (layout, channels), own in zip(layouts, owned(channels for _, channels in layouts), strict=True):
            yield layout, recording, channels, own


def _of_chunk(row: Row[Any], channels: list[int], own: list[bool], tally: _Tally) -> Iterator[str]:
    """Say what of a chunk is not as its row says, and count the samples of its `own` channels in `tally`."""
    starts = chunks.starts(row.packed, row.ticks).part(0, row.ticks)
    took = chunks.took(row.packed, row.ticks).part(0, row.ticks)
    if (starts[0], starts[-1]) != (row.start_ns, row.end_ns) or starts != sorted(starts):
        yield f"it holds {starts[0]} to {starts[-1]}, its row says {row.start_ns} to {row.end_ns}"
    if chunks.width(row.packed) != len(channels):
        yield f"it has {chunks.width(row.packed)} channels, its layout {len(channels)}"
        return
    middles = [start + took // 2 for start, took in zip(starts, took, strict=True)]
    samples = 0
    for position, channel in enumerate(channels):
        values = chunks.values(row.packed, row.ticks, position)
        samples += len(values) - sum(map(math.isnan, values))
        if own[position]:
            finite = compress(middles, map(math.isfinite, values))
            tally.update((at // MINUTE_NS, channel) for at in finite)
    if samples != row.samples:
        yield f"it holds {samples} samples, its row says {row.samples}"


def _twice(connection: Connection, row: Row[Any]) -> Iterator[str]:
    """Say which of a chunk's ticks are there as rows as well."""
    hot = select(_ticks.start_ns, _ticks.end_ns).where(
        _ticks.layout_id == row.layout_id, _ticks.start_ns.between(row.start_ns, row.end_ns)
    )
    starts = chunks.starts(row.packed, row.ticks).part(0, row.ticks)
    took = chunks.took(row.packed, row.ticks).part(0, row.ticks)
    packed = {(start, start + each) for start, each in zip(starts, took, strict=True)}
    both = packed & {tuple(tick) for tick in connection.execute(hot)}
    if both:
        yield f"{len(both)} of its ticks are kept as rows as well"


def _taken(tally: _Tally, before: int) -> _Tally:
    """Take what belongs to the minutes before one out of a tally."""
    taken = Counter({key: count for key, count in tally.items() if key[0] < before})
    for key in taken:
        del tally[key]
    return taken


def _of_rollups(connection: Connection, recording: int, tally: _Tally) -> Iterator[str]:
    """Say which roll-ups are missing or of too few samples; they may be of more than are left."""
    if not tally:
        return
    mine = _rollups.recording_id == recording
    first = connection.execute(select(func.min(_rollups.minute)).where(mine)).scalar()
    minutes = [minute for minute, _ in tally]
    kept = select(_rollups.minute, _rollups.channel_id, _rollups.samples).where(
        mine, _rollups.minute.between(min(minutes), max(minutes))
    )
    summed = {(minute, channel): samples for minute, channel, samples in connection.execute(kept)}
    for key, samples in sorted(tally.items()):
        if first is not None and key[0] >= first and summed.get(key, 0) < samples:
            minute, channel = key
            yield f"Roll-up of minute {minute}, channel {channel}: of {summed.get(key, 0)} samples, not {samples}"
