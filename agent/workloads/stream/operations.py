"""The values of the operations, for arrays of NumPy and for tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALAR = 3.0
PERIOD = 1 << 10
"""The elements of the first source repeat after this many, those of the second one element earlier."""


def expected(operation: str, sources: Sequence[Any]) -> Any:
    """Return the result of an operation on sources of any kind."""
    first, last = sources[0], sources[-1]
    if operation == "copy":
        return first
    if operation == "scale":
        return SCALAR * first
    return first + last if operation == "add" else first + SCALAR * last
