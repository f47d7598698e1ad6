"""Packs the ticks of one layout into a chunk of columns, of which each can be read without the others."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from store import columns, integers
from store.integers import Cursor, Integers

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORM = 1
_HEAD = struct.Struct("<BxHI")
"""The form of the chunk, nanoseconds of its unit of time, number of channels. Then where each column ends."""
_STARTS, _TOOK, _FIRST = 0, 1, 2
_MICROSECOND = 1000


class Row(NamedTuple):
    """One tick as it is stored: the moments before and after the read, and its values as packed doubles."""

    start_ns: int
    end_ns: int
    readings: bytes


def pack(rows: Sequence[Row]) -> bytes:
    """Pack ticks, which are in time order and all have as many values; times in microseconds where they are whole."""
    width = len(rows[0].readings) // 8
    values = struct.unpack(f"<{width * len(rows)}d", b"".join(row.readings for row in rows))
    starts = [row.start_ns for row in rows]
    took = [row.end_ns - row.start_ns for row in rows]
    whole = not any(moment % _MICROSECOND for moment in (*starts, *took))
    unit = _MICROSECOND if whole else 1
    packed = [integers.pack([moment // unit for moment in moments]) for moments in (starts, took)]
    packed += [columns.pack(values[position::width]) for position in range(width)]
    ends, at = [], _HEAD.size + 4 * len(packed)
    for column in packed:
        at += len(column)
        ends.append(at)
    return b"".join((_HEAD.pack(_FORM, unit, width), struct.pack(f"<{len(ends)}I", *ends), *packed))


def width(packed: bytes) -> int:
    """Return how many channels a chunk has. Raises ValueError if it was packed in another form than this."""
    form, _, channels = _HEAD.unpack_from(packed)
    if form != _FORM:
        raise ValueError(f"a chunk of form {form}, not {_FORM}")
    return int(channels)


def starts(packed: bytes, ticks: int) -> Integers:
    """Return the moments before the reads of a chunk of so many ticks, in nanoseconds of Unix time."""
    return _moments(packed, _STARTS, ticks)


def took(packed: bytes, ticks: int) -> Integers:
    """Return how many nanoseconds each read took."""
    return _moments(packed, _TOOK, ticks)


def values(packed: bytes, ticks: int, position: int, start: int = 0, stop: int | None = None) -> list[float]:
    """Return the values of the channel at `position` in the ticks from `start` to before `stop`, NaN where absent."""
    return columns.unpack(_column(packed, _FIRST + position), ticks, start, stop)


def _moments(packed: bytes, place: int, ticks: int) -> Integers:
    _, unit, _ = _HEAD.unpack_from(packed)
    return Integers(Cursor(_column(packed, place)), ticks, unit)


def _column(packed: bytes, place: int) -> bytes:
    """Return one column of a chunk: it starts where the one before ends, the first behind the table of ends."""
    if place:
        start, end = struct.unpack_from("<2I", packed, _HEAD.size + 4 * place - 4)
    else:
        start, end = _HEAD.size + 4 * (_FIRST + width(packed)), struct.unpack_from("<I", packed, _HEAD.size)[0]
    return packed[start:end]
