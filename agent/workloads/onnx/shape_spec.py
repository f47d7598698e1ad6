"""Shapes of inputs and sizes of named dimensions from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_DIGITS = 19  # more do not fit into 64 bits
LARGEST_SIZE = (1 << 31) - 1


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes in texts such as `name=1x3x224x224`, by input name. Raises ValueError that names the option."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, shape = parse_shape(text)
        if name in shapes:
            raise ValueError(f"--shape {text}: the input {name!r} has a shape already; give it once")
        shapes[name] = shape
    return shapes


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the input name and the sizes in `name=1x3x224x224`; the name itself can contain `=`. Raises ValueError."""
    name, _, sizes = text.rpartition("=")
    parts = sizes.strip().lower().split("x")
    if not name.strip() or not all(part.isascii() and part.isdigit() and len(part) < _MOST_DIGITS for part in parts):
        raise ValueError(_refusal(text))
    return name.strip(), tuple(map(int, parts))


def parse_dims(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the sizes in texts such as `seq=128,256`, by dimension; sizes of one dimension in several texts add up.

    Raises ValueError that names the option.
    """
    dims: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        name, parts = name.strip(), [part.strip() for part in sizes.split(",")]
        if not name or not all(part.isascii() and part.isdigit() and int(part) <= LARGEST_SIZE for part in parts):
            raise ValueError(f"--dim {text}: write it as NAME=128 or NAME=128,256, with sizes from 0 to {LARGEST_SIZE}")
        dims[name] = tuple(dict.fromkeys([*dims.get(name, ()), *map(int, parts)]))
    return dims


def check_shapes(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError if a shape is empty or has a negative size."""
    for name, shape in shapes.items():
        if not name or not shape or min(shape) < 0:
            raise ValueError(_refusal(f"{name}={'x'.join(map(str, shape))}"))


def _refusal(text: str) -> str:
    return f"--shape {text}: write it as name=1x3x224x224, with whole sizes of at least 0"
