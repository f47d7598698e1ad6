"""Checks a store for damage: of the file, of chunks that contradict their rows, and of samples stored twice."""

from __future__ import annotations

import math
from collections import Counter
from itertools import compress, groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from sqlalchemy import func, select, tuple_

from store import schema
from store.codec import chunks
from store.damage import Damage, RowVerifier
from store.engines import snapshot_engine
from store.error_messages import translate_errors
from store.errors import StoreError
from store.maintenance.rollup import MINUTE_NS, canonical_channels
from store.scan import channels_of, damaged_rows
from store.views import views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine, RowMapping

_ORDER = (schema.chunks.c.start_ns, schema.chunks.c.id)
_ticks, _chunks, _rollups, _layouts = schema.ticks.c, schema.chunks.c, schema.rollups.c, schema.layouts.c
_Tally = Counter[tuple[int, int]]
"""The number of finite samples of each (minute, channel)."""


def check(engine: Engine) -> tuple[str, ...]:
    """Return the problems of a store, a sentence each. Raises StoreError."""
    return tuple(map(str, problems(engine)))


def problems(engine: Engine) -> Iterator[str | Damage]:
    """Yield the problems of a store: damaged rows as such, any other as a sentence.

    Reads every row, in many short transactions. A part that cannot be read is one problem, and the other parts are
    still checked. Raises StoreError if nothing can be read.
    """
    parts: dict[str, Callable[[Engine], Iterator[str | Damage]]] = {
        "The file": _check_file,
        "The view": _check_views,
        "The rows": damaged_rows,
        "The chunks": _check_layouts,
    }
    for name, examine in parts.items():
        try:
            with translate_errors(engine):
                yield from examine(engine)
        except StoreError as error:
            if error.__cause__ is None:
                raise
            yield f"{name} cannot be read to the end ({error.cause})"
        except (TypeError, ValueError, LookupError) as error:  # a damaged row holds values of any type
            yield f"{name} cannot be checked to the end ({error})"


def _check_file(engine: Engine) -> Iterator[str]:
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        faults = [words for (words,) in connection.exec_driver_sql("PRAGMA integrity_check") if words != "ok"]
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    yield from (f"The file is damaged: {words}" for words in faults)
    for table, row, parent, _ in orphans:
        yield f"Row {row} of {table} refers to a missing row of {parent}"


def _check_views(engine: Engine) -> Iterator[str]:
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'view'").all()
    found = {str(name): str(statement) for name, statement in rows}
    for name, statement in views("sqlite").items():
        if found.get(name, "").strip() != statement.strip():
            yield f"The view {name} is not the one of this version"


def _check_layouts(engine: Engine) -> Iterator[str | Damage]:
    for layout, recording, channels, own in _layouts_of(engine):
        tally: _Tally = Counter()
        place = (-(1 << 63), 0)
        while True:
            found: list[str | Damage] = []
            with snapshot_engine(engine).connect() as connection:
                row = _next_chunk(connection, layout, place)
                if row is None:
                    found += _check_rollups(connection, recording, tally)
                else:
                    found += _check_rollups(connection, recording, _pop_before(tally, row["start_ns"] // MINUTE_NS))
                    found += _chunk_problems(connection, row, (channels, own), tally)
            yield from found
            if row is None or (row["start_ns"], row["id"]) <= place:
                break
            place = (row["start_ns"], row["id"])


def _layouts_of(engine: Engine) -> Iterator[tuple[int, int, list[int] | None, list[bool]]]:
    """Yield every layout and its recording, the ids of its channels, and the channels of its roll-ups.

    The channels are None if the layout is damaged.
    """
    table = schema.layouts
    with engine.connect() as connection:
        rows = connection.execute(select(table).order_by(table.c.recording_id, table.c.id)).mappings().all()
        found = [(row["recording_id"], row["id"], channels_of(connection, row)) for row in rows]
    for recording, group in groupby(found, itemgetter(0)):
        layouts = list(group)
        for (_, layout, channels), own in zip(
            layouts, canonical_channels(each[2] or [] for each in layouts), strict=True
        ):
            yield layout, recording, channels, own


def _next_chunk(connection: Connection, layout: int, place: tuple[int, int]) -> RowMapping | None:
    """Return the chunk of a layout after a place: a start and an id."""
    mine = select(schema.chunks).where(_chunks.layout_id == layout, tuple_(*_ORDER) > place)
    return connection.execute(mine.order_by(*_ORDER).limit(1)).mappings().first()


def _chunk_problems(
    connection: Connection, row: RowMapping, layout: tuple[list[int] | None, list[bool]], tally: _Tally
) -> list[str | Damage]:
    """Return the problem of a chunk, or count the samples of an intact one in `tally`.

    If its layout is damaged, only the checksum is checked.
    """
    channels, own = layout
    cause = RowVerifier(connection, None).fault(schema.chunks, row)
    if cause:
        return [Damage("chunks", (row["id"],), cause)]
    if channels is None:
        return []
    try:
        wrong = list(_check_chunk(row, channels, own, tally))
        if not wrong:
            return list(_duplicate_ticks(connection, row))
    except chunks.UNREADABLE as error:
        wrong = [f"it cannot be unpacked ({error})"]
    return [Damage("chunks", (row["id"],), each) for each in wrong]


def _check_chunk(row: RowMapping, channels: list[int], own: list[bool], tally: _Tally) -> Iterator[str]:
    """Return the contradictions between a chunk and its row, and count the samples of its `own` channels in `tally`."""
    starts = chunks.starts(row["packed"], row["ticks"]).part(0, row["ticks"])
    took = chunks.read_durations(row["packed"], row["ticks"]).part(0, row["ticks"])
    if (starts[0], starts[-1]) != (row["start_ns"], row["end_ns"]) or starts != sorted(starts):
        yield f"it holds {starts[0]} to {starts[-1]}, its row states {row['start_ns']} to {row['end_ns']}"
    if chunks.width(row["packed"]) != len(channels):
        yield f"it has {chunks.width(row['packed'])} channels, its layout {len(channels)}"
        return
    middles = [start + took // 2 for start, took in zip(starts, took, strict=True)]
    samples = 0
    for position, channel in enumerate(channels):
        values = chunks.values(row["packed"], row["ticks"], position)
        samples += len(values) - sum(map(math.isnan, values))
        if own[position]:
            finite = compress(middles, map(math.isfinite, values))
            tally.update((at // MINUTE_NS, channel) for at in finite)
    if samples != row["samples"]:
        yield f"it holds {samples} samples, its row states {row['samples']}"


def _duplicate_ticks(connection: Connection, row: RowMapping) -> Iterator[str]:
    """Return the ticks of a chunk that also exist as rows."""
    hot = select(_ticks.start_ns, _ticks.end_ns).where(
        _ticks.layout_id == row["layout_id"], _ticks.start_ns.between(row["start_ns"], row["end_ns"])
    )
    starts = chunks.starts(row["packed"], row["ticks"]).part(0, row["ticks"])
    took = chunks.read_durations(row["packed"], row["ticks"]).part(0, row["ticks"])
    packed = {(start, start + each) for start, each in zip(starts, took, strict=True)}
    both = packed & {tuple(tick) for tick in connection.execute(hot)}
    if both:
        yield f"Chunk {row['id']}: {len(both)} of its ticks also exist as rows"


def _pop_before(tally: _Tally, before: int) -> _Tally:
    """Remove and return the entries of a tally before a minute."""
    taken = Counter({key: count for key, count in tally.items() if key[0] < before})
    for key in taken:
        del tally[key]
    return taken


def _check_rollups(connection: Connection, recording: int, tally: _Tally) -> Iterator[str]:
    """Yield the roll-ups that are missing or have too few samples; they may have more than are left."""
    if not tally:
        return
    mine = _rollups.recording_id == recording
    first = connection.execute(select(func.min(_rollups.minute)).where(mine)).scalar()
    minutes = [minute for minute, _ in tally]
    kept = select(schema.rollups).where(mine, _rollups.minute.between(min(minutes), max(minutes)))
    verifier = RowVerifier(connection, None)
    rows = [row for row in connection.execute(kept).mappings() if not verifier.fault(schema.rollups, row)]
    summed = {(row["minute"], row["channel_id"]): row["samples"] for row in rows}
    for key, samples in sorted(tally.items()):
        if first is not None and key[0] >= first and summed.get(key, 0) < samples:
            minute, channel = key
            yield f"Roll-up of minute {minute}, channel {channel}: of {summed.get(key, 0)} samples, not {samples}"
