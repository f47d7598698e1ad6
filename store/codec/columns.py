"""Packs the values of one channel without loss, as the integers of the sensor if possible."""

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
"""The first byte of a column. `_GAPS` is added if values are missing, an exponent or a unit if there are several."""
_MOST_DECIMALS, _MOST_HALVINGS = 9, 32
_EXACT = 2**53
_LARGEST_DENOMINATOR = 1 << 20
_GLANCE = 8
"""The number of values that decide whether a full attempt is worthwhile."""

_RAPL_UNITS = (61035, 15258, 15300)
"""Thousandths of a microjoule for one count of a RAPL counter in the Linux kernel, which rounds the product down to
microjoules (drivers/powercap/intel_rapl_common.c): 2**-14 J, 2**-16 J and the memory's own.
"""
_RAPL_COUNTS = 1 << 32


def pack(values: Sequence[float]) -> bytes:
    """Pack the values of a channel, NaN for a missing one; every bit of every other double is preserved."""
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
    """Return the values from `start` to before `stop` of a packed column of `count` values."""
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
    """Return the values packed in a suitable way, if there is one. The result may differ in the last bit."""
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
    """Return the values as integers of one `scale`-th, or nothing if they are not."""
    for some in (values[:_GLANCE], values):
        numbers = [round(value * scale) for value in some]
        if max(map(abs, numbers)) > _EXACT or [number / scale for number in numbers] != some:
            return []
    return numbers


def _as_counts(numbers: list[int], decimals: int) -> bytes:
    """Return values in units of 10**-decimals packed as a RAPL counter's own counts, or nothing if they are not."""
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
    """Return the counts of a RAPL counter; it restarts after 2**32 counts, and 1 less is its range."""
    turn = (_RAPL_COUNTS - 1) * unit // 1000
    return [some // turn * _RAPL_COUNTS - -(some % turn) * 1000 // unit for some in microjoules]


def _microjoules(counts: list[int], unit: int) -> list[int]:
    turn = (_RAPL_COUNTS - 1) * unit // 1000
    return [(count >> 32) * turn + (count & _RAPL_COUNTS - 1) * unit // 1000 for count in counts]


def _ratios(values: list[float]) -> tuple[list[int], list[int]] | None:
    """Return dividends and divisors of the values, the divisors as equal as possible; None if they are too large.

    The utilization of a processor is such a quotient: its busy clock ticks over all that passed.
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
    """Return the smallest dividend and divisor of a value, from its continued fraction."""
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
