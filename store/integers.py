"""Packs a list of integers into few bytes: differences, split into planes of bytes, each deflated where that helps."""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate
from math import gcd
from operator import sub
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRIAL = 512
"""So many values decide how often differences are taken; all of them would cost three times the work."""
_WIDEST = 1 << 64
_CONSTANT = 255


class Cursor:
    """A place in packed bytes, from which integers and stretches of bytes are taken one after another."""

    __slots__ = ("at", "packed")

    def __init__(self, packed: bytes, at: int = 0) -> None:
        self.packed = packed
        self.at = at

    def byte(self) -> int:
        """Take one byte."""
        self.at += 1
        return self.packed[self.at - 1]

    def number(self) -> int:
        """Take an integer that `number` packed."""
        length = self.byte()
        return int.from_bytes(self.take(length), "little", signed=True)

    def take(self, length: int) -> bytes:
        """Take so many bytes."""
        self.at += length
        return self.packed[self.at - length : self.at]

    def squeezed(self) -> bytes:
        """Take bytes that `squeeze` packed."""
        sized = self.number()
        return self.take(sized) if sized >= 0 else zlib.decompress(self.take(-sized), -zlib.MAX_WBITS)


def number(value: int) -> bytes:
    """Pack one integer of any size: its length, then its bytes."""
    length = value.bit_length() // 8 + 1 if value else 0
    return bytes((length,)) + value.to_bytes(length, "little", signed=True)


def squeeze(plain: bytes) -> bytes:
    """Pack bytes deflated, or plain where that is shorter; a negative length says that they are deflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = deflate.compress(plain) + deflate.flush()
    return number(len(plain)) + plain if len(deflated) >= len(plain) else number(-len(deflated)) + deflated


def pack(values: Sequence[int]) -> bytes:
    """Pack integers; their range must be below 2**64. `unpack` gives them back, if it is told how many there are."""
    if not values:
        return b""
    first = values[0]
    steps = [value - first for value in values]
    unit = gcd(*steps)
    if unit == 0:
        return number(first) + bytes((_CONSTANT,))
    if unit > 1:
        steps = [step // unit for step in steps]
    trials = {order: _planes(steps[:_TRIAL], order) for order in range(min(3, len(steps)))}
    order = min((order for order, trial in trials.items() if trial), key=lambda order: len(trials[order]))
    whole = trials[order] if len(steps) <= _TRIAL else _planes(steps, order) or _planes(steps, 0)
    return number(first) + whole[:1] + number(unit) + whole[1:]


def unpack(cursor: Cursor, count: int) -> list[int]:
    """Undo `pack` for `count` integers."""
    if not count:
        return []
    first, order = cursor.number(), cursor.byte()
    if order == _CONSTANT:
        return [first] * count
    unit = cursor.number()
    seeds = [unit * cursor.number() for _ in range(1, order)]
    residues = _from_planes(cursor, count - max(1, order), unit)
    if order == 0:
        return [first, *(first + residue for residue in residues)]
    for seed in seeds:
        residues = list(accumulate(residues, initial=seed))
    return list(accumulate(residues, initial=first))


def _planes(steps: list[int], order: int) -> bytes:
    """Pack what is left of the steps after taking differences `order` times; nothing if that is too wide."""
    residues, seeds = steps[1:], []
    if order:
        residues = list(map(sub, residues, steps))
    if order > 1:
        seeds = residues[:1]
        residues = list(map(sub, residues[1:], residues))
    base = min(residues, default=0)
    span = max(residues, default=0) - base
    if span >= _WIDEST:
        return b""
    width = (span.bit_length() + 7) // 8
    words = struct.pack(f"<{len(residues)}Q", *[residue - base for residue in residues])
    planes = [squeeze(words[place::8]) for place in range(width)]
    return b"".join((bytes((order,)), *map(number, (*seeds, base)), bytes((width,)), *planes))


def _from_planes(cursor: Cursor, count: int, unit: int) -> list[int]:
    base, width = unit * cursor.number(), cursor.byte()
    if width == 1:
        words: Sequence[int] = cursor.squeezed()
    else:
        planes = bytearray(8 * count)
        for place in range(width):
            planes[place::8] = cursor.squeezed()
        words = struct.unpack(f"<{count}Q", planes)
    if unit == 1:
        return [base + word for word in words]
    return [base + unit * word for word in words]
