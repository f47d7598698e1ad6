"""Imports of results in this process: the profile, or the error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from command import call

if TYPE_CHECKING:
    from pathlib import Path


def imported(home: Path, *arguments: object) -> dict[str, Any]:
    """Import results and return the profile."""
    result = call(home, "profile", "import", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def refused(home: Path, *arguments: object) -> str:
    """Import results that are refused, and return the error."""
    result = call(home, "profile", "import", *arguments)
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    return result.stderr


def total(document: dict[str, Any], position: int = 0) -> dict[str, Any]:
    """Return the energy of all requests of a point: that of one, times their number."""
    point = document["points"][position]
    found = point["energy"]["joules_per_inference"]["total"]
    count = point["serving"]["completed"] if point["serving"] else sum(p["inferences"] for p in point["phases"])
    return {name: found[name] * count for name in ("mean", "lower", "upper")}


def shift(node: Any, seconds: float) -> None:
    """Move every Unix time in a result."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, (dict, list)):
            shift(value, seconds)
        elif isinstance(value, float) and value > 1e9:
            node[key] = value + seconds
