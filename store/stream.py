"""Reads the samples of one layout as one stream: what is packed in chunks, then what is still a row a tick."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import compress
from operator import itemgetter, le
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, literal_column, select, union_all
from sqlalchemy.dialects import sqlite

from probes.model import Reason
from store import chunks, schema
from store.records import Series
from store.rows import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import BindParameter, Connection

    from store.records import Layout

STRETCH_NS = 600 * 10**9
"""The ticks of a chunk all start within one such stretch of Unix time, so no chunk reaches further back.

In chunks of 300 s of ten channels SQLite leaves a third of its pages empty, in those of 600 s next to nothing.
"""

_ticks, _chunks, _refused = schema.ticks.c, schema.chunks.c, schema.rejections.c
_LAYOUT: BindParameter[int] = bindparam("layout")
_FROM: BindParameter[int] = bindparam("start_ns")
_UNTIL: BindParameter[int] = bindparam("end_ns")
_PACKED = (
    select(_chunks.ticks, _chunks.start_ns, _chunks.id, _chunks.end_ns, _chunks.packed)
    .where(_chunks.layout_id == _LAYOUT, _chunks.start_ns.between(bindparam("reach_ns"), _UNTIL))
    .where(_chunks.end_ns >= _FROM)
)
_HOT = select(literal_column("0"), _ticks.start_ns, _ticks.id, _ticks.end_ns, _ticks.readings).where(
    _ticks.layout_id == _LAYOUT, _ticks.start_ns.between(_FROM, _UNTIL)
)
_BOTH = union_all(_PACKED, _HOT)
"""One question, so that a tick is seen once while it is packed, whatever else the transaction sees; rows have no tick
count."""
_SQLITE_BOTH = str(_BOTH.compile(dialect=sqlite.dialect(paramstyle="named")))
_REJECTED = (
    select(_refused.position, _refused.at_ns, _refused.reason)
    .where(_refused.layout_id == _LAYOUT, _refused.at_ns.between(_FROM, _UNTIL))
    .order_by(_refused.at_ns, _refused.id)
)


class Stream:
    """The samples of some channels, in the order of their ticks' starts.

    `middles` are those of the reads, `halves` half their lengths, rounded up, in nanoseconds.
    """

    __slots__ = ("columns", "halves", "middles", "positions", "starts")

    def __init__(self, positions: Sequence[int]) -> None:
        self.positions = positions
        self.starts: list[int] = []
        self.middles: list[int] = []
        self.halves: list[int] = []
        self.columns: list[list[float]] = [[] for _ in positions]

    def add_chunk(self, ticks: int, packed: bytes, start_ns: int, end_ns: int) -> None:
        """Put the ticks of a chunk that start from `start_ns` to `end_ns` behind those that are here."""
        moments = chunks.starts(packed, ticks)
        first, last = bisect_left(moments, start_ns), bisect_right(moments, end_ns)
        starts = moments.part(first, last)
        took = chunks.took(packed, ticks).part(first, last)
        self.starts += starts
        self.middles += [start + took // 2 for start, took in zip(starts, took, strict=True)]
        self.halves += [(each + 1) // 2 for each in took]
        for mine, position in zip(self.columns, self.positions, strict=True):
            mine.extend(chunks.values(packed, ticks, position, first, last))

    def add_rows(self, rows: Sequence[Any]) -> None:
        """Put ticks, of which each ends with start, id, end and readings, behind those that are here."""
        self.starts += [start for _, start, _, _, _ in rows]
        self.middles += [(start + end) // 2 for _, start, _, end, _ in rows]
        self.halves += [(end - start + 1) // 2 for _, start, _, end, _ in rows]
        read = [unpack(readings) for *_, readings in rows]
        for mine, position in zip(self.columns, self.positions, strict=True):
            mine.extend(values[position] for values in read)

    def sort(self) -> None:
        """Bring ticks into order that came late, after later ones were packed."""
        if not all(map(le, self.starts, self.starts[1:])):
            order = sorted(range(len(self.starts)), key=self.starts.__getitem__)
            for each in (self.starts, self.middles, self.halves, *self.columns):
                each[:] = [each[place] for place in order]  # type: ignore[index]  # each is a list of its own kind


def stream(connection: Connection, layout: int, positions: Sequence[int], start_ns: int, end_ns: int) -> Stream:
    """Return the samples of the channels at the positions, of the ticks that start from `start_ns` to `end_ns`."""
    asked = {"layout": layout, "start_ns": start_ns, "end_ns": end_ns, "reach_ns": start_ns - STRETCH_NS}
    rows = sorted(_rows(connection, asked))
    hot = bisect_right(rows, 0, key=itemgetter(0))
    found = Stream(positions)
    for ticks, *_, packed in sorted(rows[hot:], key=itemgetter(1, 2)):
        found.add_chunk(ticks, packed, start_ns, end_ns)
    found.add_rows(rows[:hot])
    found.sort()
    return found


def _rows(connection: Connection, asked: Mapping[str, int]) -> Iterable[tuple[Any, ...]]:
    """Ask `_BOTH`; SQLite's driver is asked by itself, which takes a fifth of the time."""
    if connection.dialect.name != "sqlite":
        return map(tuple, connection.execute(_BOTH, asked))
    if not connection.in_transaction():
        connection.begin()
    driver: Any = connection.connection.driver_connection
    return driver.execute(_SQLITE_BOTH, asked).fetchall()  # type: ignore[no-any-return]  # the driver is not typed


def series_of(
    connection: Connection, layout: Layout, wanted: Sequence[int], start_ns: int, end_ns: int
) -> Iterator[Series]:
    """Return the series of the channels at the positions `wanted`, of the ticks that start within both ends."""
    found = stream(connection, layout.id, wanted, start_ns, end_ns)
    asked = {"layout": layout.id, "start_ns": start_ns, "end_ns": end_ns}
    rejected = connection.execute(_REJECTED, asked).all()
    for position, values in zip(wanted, found.columns, strict=True):
        given = [not math.isnan(value) for value in values]
        yield Series(
            layout.channels[position],
            tuple(compress(found.middles, given)),
            tuple(compress(values, given)),
            tuple((row.at_ns, Reason(row.reason)) for row in rejected if row.position == position),
            tuple(compress(found.halves, given)),
        )


def has_samples(connection: Connection, layout: int, start_ns: int, end_ns: int) -> bool:
    """Return whether a layout has ticks that start from `start_ns` to `end_ns`, to about a chunk's length."""
    asked = {"layout": layout, "start_ns": start_ns, "end_ns": end_ns, "reach_ns": start_ns - STRETCH_NS}
    return any(
        connection.execute(query.with_only_columns(query.selected_columns[0]).limit(1), asked).first()
        for query in (_HOT, _PACKED)
    )
