"""Packs series as Gorilla does (Pelkonen et al., VLDB 2015, section 4.1), for comparison."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLASSES = ((7, "10"), (9, "110"), (12, "1110"), (32, "1111"))
"""Width of a time's second difference in bits, and its prefix."""


def pack_values(values: Sequence[float]) -> bytes:
    """Pack doubles: each is XORed with its predecessor; only the bits between outer zeros are written."""
    words = [struct.unpack(">Q", struct.pack(">d", value))[0] for value in values]
    bits, block = [f"{words[0]:064b}"], (64, 0)
    for before, word in pairwise(words):
        changed = before ^ word
        if not changed:
            bits.append("0")
            continue
        leading = min(31, 64 - changed.bit_length())
        trailing = (changed & -changed).bit_length() - 1
        if leading >= block[0] and trailing >= block[1]:
            bits.append(f"10{changed >> block[1]:0{64 - sum(block)}b}")
            continue
        block = (leading, trailing)
        length = 64 - leading - trailing
        bits.append(f"11{leading:05b}{length % 64:06b}{changed >> trailing:0{length}b}")
    return _bytes(bits)


def unpack_values(packed: bytes, count: int) -> list[float]:
    """Unpack the result of `pack_values`, to prove that it is complete."""
    bits = "".join(f"{byte:08b}" for byte in packed)
    words, at, block = [int(bits[:64], 2)], 64, (64, 0)
    for _ in range(count - 1):
        changed = 0
        kind = bits[at] if bits[at] == "0" else bits[at : at + 2]
        at += len(kind)
        if kind == "11":
            leading, length = int(bits[at : at + 5], 2), int(bits[at + 5 : at + 11], 2) or 64
            at += 11
            block = (leading, 64 - leading - length)
        if kind != "0":
            length = 64 - sum(block)
            changed = int(bits[at : at + length], 2) << block[1]
            at += length
        words.append(words[-1] ^ changed)
    return [struct.unpack(">d", struct.pack(">Q", word))[0] for word in words]


def pack_times(times: Sequence[int]) -> bytes:
    """Pack times by their second differences, which must fit 32 bits; the first two times are complete."""
    steps = [after - before for before, after in pairwise(times)]
    bits = [f"{times[0]:064b}", *(f"{step:064b}" for step in steps[:1])]
    for before, step in pairwise(steps):
        change = step - before
        if not change:
            bits.append("0")
            continue
        width, mark = next(
            (each for each in _CLASSES if -(1 << each[0] - 1) <= change < 1 << each[0] - 1), (64, "1111")
        )
        bits.append(f"{mark}{change % (1 << width):0{width}b}")
    return _bytes(bits)


def _bytes(bits: Sequence[str]) -> bytes:
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return int(joined, 2).to_bytes(len(joined) // 8, "big")
