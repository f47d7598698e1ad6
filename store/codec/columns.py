"""Packs the values of one channel without loss: as the integers that they were at the sensor, wherever that fits."""

from __future__ import annotations

import math
import struct
from operator import truediv
from typing import TYPE_CHECKING

from store.codec import integers
from store.codec.integers import Cursor, Integers

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAN = struct.pack("<d", math.nan)
_DECIMAL, _BINARY, _RAPL, _RATIO, _RAW, _EMPTY, _GAPS = 0, 32, 96, 104, 105, 106, 128
"""What a column starts with. `_GAPS` is added where values are absent, a power or a unit where there are several."""
_MOST_DECIMALS, _MOST_HALVINGS = 9, 32
_EXACT = 2**53
_LARGEST_DENOMINATOR = 1 << 20
_GLANCE = 8
"""So many values tell whether it is worth looking at all."""

_RAPL_UNITS = (61035, 15258, 15300)
"""Thousandths of a microjoule that one count of a RAPL counter is worth to the Linux kernel, which rounds the product
down to microjoules (drivers/powercap/intel_rapl_common.c): 2**-14 J, 2**-16 J and the memory's own."""
_RAPL_COUNTS = 1 << 32


def pack(values: Sequence[float]) -> bytes:
    """Pack the values of a channel, NaN where there was none; every bit of every other double comes back."""
    plain = struct.pack(f"<{len(values)}d", *values)
    present = [value for value in values if value == value]  # noqa: PLR0124  NaN is what does not equal itself
    if not present and plain == _NAN * len(values):
        return bytes((_EMPTY,))
    for packed in _tries(present):
        whole = packed if len(present) == len(values) else _with_gaps(values, packed)
        if struct.pack(f"<{len(values)}d", *unpack(whole, len(values))) == plain:
            return whole
    words = struct.unpack(f"<{len(values)}Q", plain)
    return bytes((_RAW,)) + integers.pack(words)


def unpack(packed: bytes, count: int, start: int = 0, stop: int | None = None) -> list[float]:
    """Undo `pack` for a column of `count` values, of which those from `start` to before `stop` are wanted."""
    cursor = Cursor(packed)
    stop = count if stop is None else stop
    kind = cursor.byte()
    if kind == _EMPTY:
        return [math.nan] * (stop - start)
    if kind < _GAPS:
        return _values(kind, cursor, count, start, stop)
    given = cursor.compressed_bytes()
    before = sum(given[:start])
    wanted = given[start:stop]
    present = iter(_values(kind - _GAPS, cursor, sum(given), before, before + sum(wanted)))
    return [next(present) if is_given else math.nan for is_given in wanted]


def _with_gaps(values: Sequence[float], packed: bytes) -> bytes:
    given = integers.compress_bytes(bytes(not math.isnan(value) for value in values))
    return bytes((packed[0] + _GAPS,)) + given + packed[1:]


def _values(kind: int, cursor: Cursor, count: int, start: int, stop: int) -> list[float]:
    numbers = Integers(cursor, count).part(start, stop)
    if kind == _DECIMAL:
        return list(map(float, numbers))
    if kind < _RAPL:
        scale = 10**kind if kind < _BINARY else 1 << kind - _BINARY
        return [number / scale for number in numbers]
    if kind < _RATIO:
        return [microjoules / 1_000_000 for microjoules in _microjoules(numbers, _RAPL_UNITS[kind - _RAPL])]
    if kind == _RATIO:
        return list(map(truediv, numbers, Integers(cursor, count).part(start, stop)))
    return list(struct.unpack(f"<{len(numbers)}d", struct.pack(f"<{len(numbers)}Q", *numbers)))


def _tries(values: list[float]) -> list[bytes]:
    """Return the values packed in the way that fits them, if there is one. It need not be right to the last bit."""
    if not values or not all(map(math.isfinite, values)) or max(map(abs, values)) >= _EXACT:
        return []
    for decimals in range(_MOST_DECIMALS + 1):
        numbers = _scaled(values, 10**decimals)
        if numbers:
            return [_as_counts(numbers, decimals) or bytes((_DECIMAL + decimals,)) + integers.pack(numbers)]
    halvings = max(value.as_integer_ratio()[1] for value in values).bit_length() - 1
    if halvings <= _MOST_HALVINGS and max(map(abs, values)) * (1 << halvings) < _EXACT:
        scale = 1 << halvings
        return [bytes((_BINARY + halvings,)) + integers.pack([round(value * scale) for value in values])]
    ratios = _ratios(values)
    return [bytes((_RATIO,)) + b"".join(map(integers.pack, ratios))] if ratios else []


def _scaled(values: list[float], scale: int) -> list[int]:
    """Return the values as integers of one `scale`-th; nothing if they are none."""
    for some in (values[:_GLANCE], values):
        numbers = [round(value * scale) for value in some]
        if max(map(abs, numbers)) > _EXACT or [number / scale for number in numbers] != some:
            return []
    return numbers


def _as_counts(numbers: list[int], decimals: int) -> bytes:
    """Return values in units of 10**-decimals packed as a RAPL counter's own counts; nothing if they are no such."""
    if decimals > 6 or numbers[0] == numbers[-1]:  # noqa: PLR2004  microjoules
        return b""
    microjoules = [number * 10 ** (6 - decimals) for number in numbers]
    for place, unit in enumerate(_RAPL_UNITS):
        for some in (microjoules[:_GLANCE], microjoules):
            counts = _counts(some, unit)
            if _microjoules(counts, unit) != some:
                break
        else:
            return bytes((_RAPL + place,)) + integers.pack(counts)
    return b""


def _counts(microjoules: list[int], unit: int) -> list[int]:
    """Return how often a RAPL counter had counted; it starts anew after 2**32 counts, where 1 less is its range."""
    turn = (_RAPL_COUNTS - 1) * unit // 1000
    return [some // turn * _RAPL_COUNTS - -(some % turn) * 1000 // unit for some in microjoules]


def _microjoules(counts: list[int], unit: int) -> list[int]:
    turn = (_RAPL_COUNTS - 1) * unit // 1000
    return [(count >> 32) * turn + (count & _RAPL_COUNTS - 1) * unit // 1000 for count in counts]


def _ratios(values: list[float]) -> tuple[list[int], list[int]] | None:
    """Return parts and wholes that divide into the values, the wholes as alike as can be; None if they are too large.

    The utilization of a processor is such a ratio: clock ticks that it was busy, of all that passed.
    """
    for some in (values[:_GLANCE], values):
        found = [_ratio(value) for value in some]
        if not all(found):
            return None
    pairs = [pair for pair in found if pair]
    usual = max(whole for _, whole in pairs)
    times = [max(1, round(usual / whole)) for _, whole in pairs]
    parts = [part * by for (part, _), by in zip(pairs, times, strict=True)]
    if max(map(abs, parts)) > _EXACT:
        return None
    return parts, [whole * by for (_, whole), by in zip(pairs, times, strict=True)]


def _ratio(value: float) -> tuple[int, int] | None:
    """Return the smallest part and whole that divide into a value, by its continued fraction."""
    part, whole, part_before, whole_before, rest = math.floor(value), 1, 1, 0, value
    while part / whole != value:
        rest -= math.floor(rest)
        if rest * _LARGEST_DENOMINATOR < 1 or whole > _LARGEST_DENOMINATOR:
            return None
        rest = 1 / rest
        digit = math.floor(rest)
        part, part_before = digit * part + part_before, part
        whole, whole_before = digit * whole + whole_before, whole
    return part, whole
