"""Reads the samples of one layout as one series: first the chunks, then the ticks that are still rows."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import compress
from operator import itemgetter, le
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, bindparam, func, literal_column, select, union_all
from sqlalchemy.dialects import sqlite

from probes.model import Reason
from store import schema
from store.codec import chunks
from store.codec.chunks import UNREADABLE
from store.damage import wrong_length
from store.records import Series
from store.rows import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import BindParameter, Connection

    from store.damage import RowVerifier
    from store.records import Layout

_CHUNK_COLUMNS = tuple(column.name for column in schema.chunks.c)
PARTITION_NS = 600 * 10**9
"""The ticks of a chunk all start within one such part of Unix time, so no chunk reaches further back.

With chunks of 300 s of ten channels SQLite leaves a third of its pages empty, with 600 s almost nothing.
"""

_ticks, _chunks, _refused = schema.ticks.c, schema.chunks.c, schema.rejections.c
_LAYOUT: BindParameter[int] = bindparam("layout")
_FROM: BindParameter[int] = bindparam("start_ns")
_UNTIL: BindParameter[int] = bindparam("end_ns")
_PACKED = (
    select(
        _chunks.ticks, _chunks.start_ns, _chunks.id, _chunks.end_ns, _chunks.packed, _chunks.checksum, _chunks.samples
    )
    .where(_chunks.layout_id == _LAYOUT, _chunks.start_ns.between(bindparam("reach_ns"), _UNTIL))
    .where(_chunks.end_ns >= _FROM)
)
_HOT = select(
    literal_column("0"),
    _ticks.start_ns,
    _ticks.id,
    _ticks.end_ns,
    _ticks.readings,
    _ticks.checksum,
    literal_column("0"),
).where(_ticks.layout_id == _LAYOUT, _ticks.start_ns.between(_FROM, _UNTIL))
_BOTH = union_all(_PACKED, _HOT)
"""One query, so that a tick appears exactly once during compaction, at any transaction isolation; rows have no
tick count.
"""
_EVERY: BindParameter[int] = bindparam("every_ns", type_=BigInteger)
_others = schema.ticks.alias("others").c
_FIRST_TICKS = (
    select(func.min(_others.id))
    .where(_others.layout_id == _LAYOUT, _others.start_ns.between(_FROM, _UNTIL))
    .group_by(_others.start_ns // _EVERY)
)
_THINNED = union_all(_PACKED, _HOT.where(_ticks.id.in_(_FIRST_TICKS)))
"""The same with one row of each part of Unix time, of which a long run has few."""
_SQLITE_BOTH = str(_BOTH.compile(dialect=sqlite.dialect(paramstyle="named")))
_SQLITE_THINNED = str(_THINNED.compile(dialect=sqlite.dialect(paramstyle="named")))
_REJECTED = (
    select(schema.rejections)
    .where(_refused.layout_id == _LAYOUT, _refused.at_ns.between(_FROM, _UNTIL))
    .order_by(_refused.at_ns, _refused.id)
)


class SampleColumns:
    """The samples of some channels, in the order of their ticks' starts.

    `middles` are the middles of the reads, `halves` half their lengths, rounded up, in nanoseconds.
    """

    __slots__ = ("columns", "halves", "middles", "positions", "starts")

    def __init__(self, positions: Sequence[int]) -> None:
        self.positions = positions
        self.starts: list[int] = []
        self.middles: list[int] = []
        self.halves: list[int] = []
        self.columns: list[list[float]] = [[] for _ in positions]

    def add_chunk(self, ticks: int, packed: bytes, start_ns: int, end_ns: int) -> None:
        """Append the ticks of a chunk that start from `start_ns` to `end_ns`.

        Raises one of `UNREADABLE` if the chunk is damaged, and appends nothing then.
        """
        moments = chunks.starts(packed, ticks)
        first, last = bisect_left(moments, start_ns), bisect_right(moments, end_ns)
        starts = moments.part(first, last)
        took = chunks.read_durations(packed, ticks).part(first, last)
        middles = [start + took // 2 for start, took in zip(starts, took, strict=True)]
        values = [chunks.values(packed, ticks, position, first, last) for position in self.positions]
        self.starts += starts
        self.middles += middles
        self.halves += [(each + 1) // 2 for each in took]
        for mine, more in zip(self.columns, values, strict=True):
            mine.extend(more)

    def add_rows(self, rows: Sequence[Any]) -> None:
        """Append ticks, each of which begins with tick count, start, id, end and readings."""
        self.starts += [row[1] for row in rows]
        self.middles += [(row[1] + row[3]) // 2 for row in rows]
        self.halves += [(row[3] - row[1] + 1) // 2 for row in rows]
        read = [unpack(row[4]) for row in rows]
        for mine, position in zip(self.columns, self.positions, strict=True):
            mine.extend(values[position] for values in read)

    def sort(self) -> None:
        """Sort ticks that were stored after later ones were packed."""
        if not all(map(le, self.starts, self.starts[1:])):
            order = sorted(range(len(self.starts)), key=self.starts.__getitem__)
            for each in (self.starts, self.middles, self.halves, *self.columns):
                each[:] = [each[place] for place in order]  # type: ignore[index]  # each is a list of its own kind

    def thin(self, every_ns: int) -> None:
        """Drop all but the first tick of each part of Unix time."""
        parts = [start // every_ns for start in self.starts]
        kept = [place for place, part in enumerate(parts) if not place or part != parts[place - 1]]
        for each in (self.starts, self.middles, self.halves, *self.columns):
            each[:] = [each[place] for place in kept]  # type: ignore[index]  # each is a list of its own kind


def read_samples(
    connection: Connection,
    layout: Layout,
    positions: Sequence[int],
    between_ns: tuple[int, int],
    verifier: RowVerifier,
    every_ns: int = 0,
) -> SampleColumns:
    """Return the intact samples of the channels at the positions, of the ticks that start within both ends.

    With `every_ns` they are those of the first tick of each such part of Unix time.
    """
    start_ns, end_ns = between_ns
    asked = {"layout": layout.id, "start_ns": start_ns, "end_ns": end_ns, "reach_ns": start_ns - PARTITION_NS}
    asked |= {"every_ns": every_ns} if every_ns else {}
    rows = sorted(_rows(connection, asked), key=itemgetter(0, 1, 2))
    hot = bisect_right(rows, 0, key=itemgetter(0))
    found = SampleColumns(positions)
    for ticks, start, number, end, packed, stored, samples in sorted(rows[hot:], key=itemgetter(1, 2)):
        values = (number, layout.id, start, end, ticks, samples, packed, stored)
        row = dict(zip(_CHUNK_COLUMNS, values, strict=True))
        if verifier.is_intact(schema.chunks, row):
            try:
                found.add_chunk(ticks, packed, start_ns, end_ns)
            except UNREADABLE as error:
                verifier.report_damage(schema.chunks, (number,), f"it cannot be unpacked ({error})")
    found.add_rows(list(_sound_ticks(rows[:hot], layout, verifier)))
    found.sort()
    if every_ns:
        found.thin(every_ns)
    return found


def _sound_ticks(rows: Sequence[Any], layout: Layout, verifier: RowVerifier) -> Iterator[Any]:
    length = 8 * len(layout.channels)
    for row in rows:
        _, start, number, end, readings, stored, _ = row
        cause = verifier.tick_damage_cause(layout.id, (number, start, end, readings, stored))
        if not cause and len(readings) != length:
            cause = wrong_length(readings, length)
        if cause:
            verifier.report_damage(schema.ticks, (number,), cause)
        else:
            yield row


def _rows(connection: Connection, asked: Mapping[str, int]) -> Iterable[tuple[Any, ...]]:
    """Run `_BOTH`; a direct call of SQLite's driver takes a fifth of the time."""
    thinned = "every_ns" in asked
    if connection.dialect.name != "sqlite":
        return map(tuple, connection.execute(_THINNED if thinned else _BOTH, asked))
    if not connection.in_transaction():
        connection.begin()
    driver: Any = connection.connection.driver_connection
    return driver.execute(_SQLITE_THINNED if thinned else _SQLITE_BOTH, asked).fetchall()  # type: ignore[no-any-return]  # the driver is not typed


def load_series(
    connection: Connection,
    layout: Layout,
    wanted: Sequence[int],
    between_ns: tuple[int, int],
    verifier: RowVerifier,
    every_ns: int = 0,
) -> Iterator[Series]:
    """Return the series of the channels at the positions `wanted`, of the ticks as in `read_samples`."""
    found = read_samples(connection, layout, wanted, between_ns, verifier, every_ns)
    asked = {"layout": layout.id, "start_ns": between_ns[0], "end_ns": between_ns[1]}
    refused = connection.execute(_REJECTED, asked).mappings()
    rejected = [row for row in refused if verifier.is_intact(schema.rejections, row)]
    for position, values in zip(wanted, found.columns, strict=True):
        given = [not math.isnan(value) for value in values]
        yield Series(
            layout.channels[position],
            tuple(compress(found.middles, given)),
            tuple(compress(values, given)),
            tuple((row["at_ns"], Reason(row["reason"])) for row in rejected if row["position"] == position),
            tuple(compress(found.halves, given)),
        )


def has_samples(connection: Connection, layout: int, start_ns: int, end_ns: int) -> bool:
    """Return whether a layout has ticks that start from `start_ns` to `end_ns`, to within a chunk's length."""
    asked = {"layout": layout, "start_ns": start_ns, "end_ns": end_ns, "reach_ns": start_ns - PARTITION_NS}
    return any(
        connection.execute(query.with_only_columns(query.selected_columns[0]).limit(1), asked).first()
        for query in (_HOT, _PACKED)
    )


def sampled_span(connection: Connection, layouts: Sequence[int]) -> tuple[int, int] | None:
    """Return the start of the first tick and the end of the last one of some layouts, None without a tick."""
    found: list[int] = []
    for own in (_ticks, _chunks):
        ends = select(func.min(own.start_ns), func.max(own.end_ns)).where(own.layout_id.in_(layouts))
        found += [each for each in connection.execute(ends).one() if each is not None]
    return (min(found), max(found)) if found else None
