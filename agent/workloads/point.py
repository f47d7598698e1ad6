"""A point of a sweep: a value for each named parameter, such as `batch=8 prompt_tokens=512`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product

Value = str | int | float | bool
Point = Mapping[str, Value]
Axes = Mapping[str, Sequence[Value]]
"""The values of each swept parameter, in declared order."""


def points_of(axes: Axes) -> tuple[Point, ...]:
    """Return the points of a sweep: the product of all values; the last parameter changes fastest."""
    return tuple(dict(zip(axes, values, strict=True)) for values in product(*axes.values()))


def point_name(point: Point) -> str:
    """Return the name of a point for display, its parameters in declared order: `batch=8 prompt_tokens=512`."""
    return " ".join(f"{name}={_shown(value)}" for name, value in point.items())


def _shown(value: Value) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def encode_point(point: Point) -> str:
    """Return the parameters as a JSON object, in their order: the identity of a point in stored windows."""
    return json.dumps(point, separators=(",", ":"))


def decode_point(text: str) -> dict[str, Value]:
    """Return the parameters of a stored point; the first version stored `batch=8` instead of a JSON object."""
    if text.startswith("batch="):
        return {"batch": int(text.removeprefix("batch="))}
    parameters: dict[str, Value] = json.loads(text)
    return parameters
