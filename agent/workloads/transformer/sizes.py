"""Counts the weights of a transformer: their number, their bytes in a precision, and those that a token uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Precision = Literal["fp32", "bf16", "fp16", "int8", "int8_static", "int4"]

INT4_BLOCK = 32
"""The rows of a matrix that share a scale in int4, within a column."""

_ELEMENT_BYTES = {"fp16": 2, "bf16": 2}
_INT8 = ("int8", "int8_static")
QUANTIZED = (*_INT8, "int4")


@dataclass(frozen=True, slots=True)
class Matrices:
    """Weight matrices [rows, columns] of one shape: `count` in the model, of which a token uses `used`."""

    rows: int
    columns: int
    count: int
    used: int

    @property
    def size(self) -> int:
        """The weights of one matrix."""
        return self.rows * self.columns


def element_bytes(precision: Precision) -> int:
    """Return the bytes of an activation, and of a weight that is not quantized."""
    return _ELEMENT_BYTES.get(precision, 4)


def matrix_bytes(precision: Precision, rows: int, columns: int) -> int:
    """Return the bytes of a weight matrix [rows, columns] with its scales.

    int8 has one fp32 scale a column. int4 has one for each `INT4_BLOCK` rows of a column, padded to whole blocks.
    """
    if precision in _INT8:
        return columns * (rows + 4)
    if precision == "int4":
        return columns * -(-rows // INT4_BLOCK) * (INT4_BLOCK // 2 + 4)
    return rows * columns * element_bytes(precision)


@dataclass(frozen=True, slots=True)
class Shape:
    """The widths of a transformer.

    `queries` and `keys` are those of all heads together, `up` is the width of the matrix into a feed-forward, `inner`
    that of the matrix out of it. `positions` are the rows of a learned table, `scored` is the size of the vocabulary
    that a decoder scores; each is 0 without one.
    """

    layers: int
    width: int
    queries: int
    keys: int
    up: int
    inner: int
    experts: int
    active_experts: int
    vocabulary: int
    positions: int
    scored: int

    def layer_matrices(self) -> Sequence[Matrices]:
        """Return the matrices of all layers. The router of a mixture of experts is none: it is never quantized."""
        layers, every, used = self.layers, self.layers * self.experts, self.layers * self.active_experts
        return (
            Matrices(self.width, self.queries + 2 * self.keys, layers, layers),
            Matrices(self.queries, self.width, layers, layers),
            Matrices(self.width, self.up, every, used),
            Matrices(self.inner, self.width, every, used),
        )

    def head_matrices(self) -> Sequence[Matrices]:
        """Return the matrix that scores the vocabulary."""
        return (Matrices(self.width, self.scored, 1, 1),) if self.scored else ()

    def tables(self) -> int:
        """Return the weights of the tables, of which a token reads one row: the embedding, and learned positions."""
        return (self.vocabulary + self.positions) * self.width

    def routers(self) -> int:
        """Return the weights of all routers."""
        return self.layers * self.experts * self.width if self.experts > 1 else 0

    def vectors(self) -> int:
        """Return the weights of the norms: two a layer, and the last one."""
        return (2 * self.layers + 1) * self.width
