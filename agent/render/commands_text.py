"""The comparison of the commands of one run as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.comparison.commands import COMMAND, compare_commands
from agent.profiling.records import Document
from agent.render.tables import wrapped
from agent.workloads.point import point_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.comparison.commands import CommandRatio
    from agent.comparison.significance import Ratio


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
    speed = _words(found.speed, "faster", "slower", "speed")
    joules = _words(found.joules, "more energy", "less energy", "energy") if found.joules else "energy unknown"
    return f"{found.command}{place}: {speed}; {joules}"


def _words(found: Ratio | None, more: str, less: str, name: str) -> str:
    """Return a ratio as `1.20 ± 0.05 times faster`, or its interval if that contains 1."""
    if found is None:
        return f"{name} unknown"
    if found.lower is None or found.upper is None:
        return f"{name} {found.ratio:.3g} times, of unknown interval"
    if found.lower <= 1 <= found.upper:
        return f"no clear difference of {name} ({found.lower:.2f} to {found.upper:.2f} times)"
    if found.ratio >= 1:
        return f"{found.ratio:.2f} ± {(found.upper - found.lower) / 2:.2f} times {more}"
    return f"{1 / found.ratio:.2f} ± {(1 / found.lower - 1 / found.upper) / 2:.2f} times {less}"
