"""Packs the ticks of one layout into a chunk of columns, each of which can be read alone (docs/store.md)."""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate
from operator import sub
from typing import TYPE_CHECKING

from store.codec import columns, integers
from store.codec.integers import Cursor, Integers

if TYPE_CHECKING:
    from collections.abc import Sequence

UNREADABLE = (
    ValueError,
    IndexError,
    TypeError,
    struct.error,
    zlib.error,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
)
"""The exceptions that unpacking damaged bytes raises."""
_FORM = 1
_HEAD = struct.Struct("<BxH")
"""The format of the chunk and the number of its channels. The end of each column follows."""
_STARTS, _TOOK, _FIRST = 0, 1, 2


def pack(starts: Sequence[int], ends: Sequence[int], channels: Sequence[Sequence[float]]) -> bytes:
    """Pack ticks in time order: the moments before and after each read in nanoseconds, the values of each channel.

    Whole microseconds are packed as such, because integers are divided by their common divisor.
    """
    packed = [integers.pack(starts), integers.pack(list(map(sub, ends, starts)))]
    packed += map(columns.pack, channels)
    bounds = accumulate(map(len, packed), initial=_HEAD.size + 4 * len(packed))
    _, *places = bounds
    return b"".join((_HEAD.pack(_FORM, len(channels)), struct.pack(f"<{len(places)}I", *places), *packed))


def width(packed: bytes) -> int:
    """Return the number of channels of a chunk. Raises ValueError if it has another format than this."""
    form, channels = _HEAD.unpack_from(packed)
    if form != _FORM:
        raise ValueError(f"a chunk of form {form}, not {_FORM}")
    return int(channels)


def starts(packed: bytes, ticks: int) -> Integers:
    """Return the moments before the reads of a chunk of `ticks` ticks, in nanoseconds of Unix time."""
    return _time_column(packed, _STARTS, ticks)


def read_durations(packed: bytes, ticks: int) -> Integers:
    """Return the duration of each read in nanoseconds."""
    return _time_column(packed, _TOOK, ticks)


def values(packed: bytes, ticks: int, position: int, start: int = 0, stop: int | None = None) -> list[float]:
    """Return the values of the channel at `position` in the ticks from `start` to before `stop`, NaN if missing."""
    return columns.unpack(_column(packed, _FIRST + position), ticks, start, stop)


def _time_column(packed: bytes, place: int, ticks: int) -> Integers:
    return Integers(Cursor(_column(packed, place)), ticks)


def _column(packed: bytes, place: int) -> bytes:
    """Return one column of a chunk: it starts at the end of the previous one, the first after the table of ends."""
    if place:
        start, end = struct.unpack_from("<2I", packed, _HEAD.size + 4 * place - 4)
    else:
        start, end = _HEAD.size + 4 * (_FIRST + width(packed)), struct.unpack_from("<I", packed, _HEAD.size)[0]
    return packed[start:end]
