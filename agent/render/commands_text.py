"""The comparison of the commands of one run as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.comparison.commands import COMMAND, compare_commands
from agent.profiling.records import Document
from agent.render.tables import plain, wrapped
from agent.workloads.point import point_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.comparison.commands import CommandRatio
    from agent.comparison.significance import Ratio

_SYMMETRIC = 1.25
"""The largest ratio of the two sides of an interval that is shown as ±."""


def commands_text(document: Mapping[str, Any], width: int) -> str:
    """Return a line for each command after the first, empty for a run of one command."""
    if document["workload"]["name"] != COMMAND or not document["points"]:
        return ""
    found = compare_commands(msgspec.convert(document, Document))
    if not found:
        return ""
    lines = [wrapped(_line(each), width, 2) for each in found]
    return "\n".join([f"Compared with {found[0].reference}, 95 % intervals of this run.", *lines])


def _line(found: CommandRatio) -> str:
    place = f" at {point_name(found.parameters)}" if found.parameters else ""
    speed = ratio_words(found.speed, "faster", "slower", "speed")
    joules = ratio_words(found.joules, "more energy", "less energy", "energy") if found.joules else "energy unknown"
    return f"{found.command}{place}: {speed}; {joules}"


def ratio_words(found: Ratio | None, more: str, less: str, name: str) -> str:
    """Return a ratio as `1.20 ± 0.05 times faster`, or its interval if that contains 1 or is not symmetric."""
    if found is None:
        return f"{name} unknown"
    if (found.lower or 0.0) <= 1 and (found.upper is None or found.upper >= 1):
        upper = "any" if found.upper is None else plain(found.upper)
        return f"no clear difference of {name} ({plain(found.lower or 0.0)} to {upper} times)"
    ratio, lower, upper_bound = found.ratio, found.lower, found.upper
    if ratio < 1:
        ratio, lower, upper_bound = 1 / ratio, found.upper and 1 / found.upper, found.lower and 1 / found.lower
    word = more if found.ratio >= 1 else less
    if lower and upper_bound and upper_bound - ratio < _SYMMETRIC * (ratio - lower):
        return f"{ratio:.2f} ± {(upper_bound - lower) / 2:.2f} times {word}"
    return f"{plain(ratio)} times {word} ({plain(lower)} to {'any' if not upper_bound else plain(upper_bound)} times)"
