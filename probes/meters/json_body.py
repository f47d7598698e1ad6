"""Reads numbers from the JSON that meters send; every other content is a missing value."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from probes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Mapping


def json_object(body: bytes, sender: str) -> Mapping[str, Any]:
    """Return the JSON object in a body. Raises ReadError, which names the sender, for anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ReadError(f"{sender} sent something other than JSON") from None
    if not isinstance(found, dict):
        raise ReadError(f"{sender} sent JSON without an object")
    return found


def inner(value: object, *path: str | int) -> Any:
    """Return the value at a path of keys and indexes, None if there is none."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def number(value: object) -> float | None:
    """Return a finite number, None for anything else, such as null, true, "N/A" and NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def scaled(value: object, factor: float) -> float | None:
    """Return a number times a factor, None without a number."""
    found = number(value)
    return None if found is None else found * factor


def text(value: object) -> str:
    """Return a short printable text, empty for anything else."""
    return value[:64] if isinstance(value, str) and value.isprintable() else ""
