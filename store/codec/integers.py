"""Packs a list of integers into few bytes: differences, split into planes of bytes, each deflated if that helps."""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate, repeat
from math import gcd
from operator import sub
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRIAL = 200
"""The number of values that decide the order of differences."""
_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 6, 12, 6
"""Sufficient for a plane, and ten times faster to set up than zlib's defaults."""
_WIDEST = 1 << 64
_CONSTANT, _SECOND = 255, 2
_SIZES = ((2, "H"), (4, "I"), (8, "Q"))


class Cursor:
    """A position in packed bytes, from which integers and blocks of bytes are read in sequence."""

    __slots__ = ("at", "packed")

    def __init__(self, packed: bytes, at: int = 0) -> None:
        self.packed = packed
        self.at = at

    def byte(self) -> int:
        """Read one byte."""
        self.at += 1
        return self.packed[self.at - 1]

    def number(self) -> int:
        """Read an integer that `number` packed."""
        length = self.byte()
        return int.from_bytes(self.take(length), "little", signed=True)

    def take(self, length: int) -> bytes:
        """Read `length` bytes."""
        self.at += length
        return self.packed[self.at - length : self.at]

    def compressed_bytes(self) -> bytes:
        """Read bytes that `compress_bytes` packed."""
        sized = self.number()
        return self.take(sized) if sized >= 0 else zlib.decompress(self.take(-sized), -_WINDOW_BITS)


def number(value: int) -> bytes:
    """Pack one integer of any size: its length, then its bytes."""
    length = value.bit_length() // 8 + 1 if value else 0
    return bytes((length,)) + value.to_bytes(length, "little", signed=True)


def compress_bytes(plain: bytes) -> bytes:
    """Pack bytes deflated, or plain if that is shorter; a negative length marks deflated ones.

    Readings are noise over a few values, or constant: a Huffman code suits the former, runs suit the latter, and the
    longer search for repetitions finds less in them than either.
    """
    best = min((_deflated(plain, strategy) for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE)), key=len)
    return number(len(plain)) + plain if len(best) >= len(plain) else number(-len(best)) + best


def _deflated(plain: bytes, strategy: int) -> bytes:
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, strategy)
    return deflate.compress(plain) + deflate.flush()


def pack(values: Sequence[int]) -> bytes:
    """Pack integers; their range must be below 2**64. `Integers` reads them, given their count."""
    if not values:
        return b""
    first = values[0]
    steps = [value - first for value in values]
    unit = gcd(*steps)
    if unit == 0:
        return number(first) + bytes((_CONSTANT,))
    if unit > 1:
        steps = [step // unit for step in steps]
    order = min(range(min(3, len(steps))), key=lambda order: _spread(steps[:_TRIAL], order))
    whole = _planes(steps, order) or _planes(steps, 0)
    return number(first) + whole[:1] + number(unit) + whole[1:]


def _spread(steps: list[int], order: int) -> int:
    """Return the total distance of the differences of an order from their mean."""
    residues, _ = _differences(steps, order)
    mean = sum(residues) // max(1, len(residues))
    return sum(map(abs, map(sub, residues, repeat(mean))))


def _differences(steps: list[int], order: int) -> tuple[list[int], list[int]]:
    """Return the differences of an order without the first step, and the values needed to restore the steps."""
    residues = steps[1:]
    if order == 0:
        return residues, []
    residues = list(map(sub, residues, steps))
    if order == 1:
        return residues, []
    return list(map(sub, residues[1:], residues)), residues[:1]


class Integers:
    """Packed integers that are computed on demand: from sums computed in C, and a formula for each.

    With `s` the sums, an integer is `first + unit * (base + s[i])` for order 0, `first + unit * (base * i + s[i])` for
    order 1, and for order 2 the same with `seed * i + base * i * (i - 1) / 2`.
    """

    __slots__ = ("_base", "_count", "_first", "_order", "_seed", "_sums", "_unit")

    def __init__(self, cursor: Cursor, count: int) -> None:
        """Read `count` integers."""
        self._count = count
        self._first, self._order, self._unit, self._seed, self._base = 0, _CONSTANT, 0, 0, 0
        self._sums: Sequence[int] = ()
        if count:
            self._first = cursor.number()
            self._order = cursor.byte()
        if self._order == _CONSTANT:
            return
        self._unit = cursor.number()
        if self._order == _SECOND:
            self._seed = cursor.number()
        self._base = cursor.number()
        words = _words(cursor, count - max(1, self._order))
        if self._order == 0:
            self._sums = (-self._base, *words)
        else:
            for _ in range(self._order):
                words = list(accumulate(words, initial=0))
            self._sums = words

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> int:
        if self._order == 1:
            return self._first + self._unit * (self._base * place + self._sums[place])
        return self.part(place, place + 1)[0]

    def part(self, start: int, stop: int) -> list[int]:
        """Return the integers from position `start` to before `stop`."""
        first, unit, base, seed = self._first, self._unit, self._base, self._seed
        if self._order == _CONSTANT:
            return [first] * (stop - start)
        sums = self._sums[start:stop]
        if self._order == 0:
            first += unit * base
            return [first + unit * some for some in sums]
        places = range(start, stop)
        if self._order == 1:
            base *= unit
            return [first + base * place + unit * some for place, some in zip(places, sums, strict=True)]
        return [
            first + unit * (seed * place + base * (place * (place - 1) // 2) + some)
            for place, some in zip(places, sums, strict=True)
        ]


def _planes(steps: list[int], order: int) -> bytes:
    """Pack the differences of an order; nothing if their range is too wide."""
    residues, seeds = _differences(steps, order)
    base = min(residues, default=0)
    span = max(residues, default=0) - base
    if span >= _WIDEST:
        return b""
    width = (span.bit_length() + 7) // 8
    words = struct.pack(f"<{len(residues)}Q", *[residue - base for residue in residues])
    planes = [compress_bytes(words[place::8]) for place in range(width)]
    return b"".join((bytes((order,)), *map(number, (*seeds, base)), bytes((width,)), *planes))


def _words(cursor: Cursor, count: int) -> Sequence[int]:
    width = cursor.byte()
    if width == 0:
        return bytes(count)
    if width == 1:
        return cursor.compressed_bytes()
    size, letter = next(each for each in _SIZES if each[0] >= width)
    planes = bytearray(size * count)
    for place in range(width):
        planes[place::size] = cursor.compressed_bytes()
    return struct.unpack(f"<{count}{letter}", planes)
