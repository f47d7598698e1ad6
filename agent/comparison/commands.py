"""Compares the commands of one run: the ratios of their speeds and energies, each against the first command; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.comparison.metrics import METRICS
from agent.comparison.significance import single_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.comparison.significance import Ratio
    from agent.profiling.records import Document, Point
    from agent.workloads.point import Value

COMMAND = "command"
"""The parameter of a point that names its command."""


@dataclass(frozen=True, slots=True)
class CommandRatio:
    """A command over the first one, `reference`, at equal other `parameters`.

    `speed` is the ratio of inferences per second, `joules` that of joules per inference; None if one of the two is
    unknown. The intervals are those of the repeats of this run, which alternated.
    """

    command: str
    reference: str
    parameters: Mapping[str, Value]
    speed: Ratio | None
    joules: Ratio | None


def compare_commands(document: Document) -> tuple[CommandRatio, ...]:
    """Return the ratios of every command after the first, none for a run of one command."""
    if document.workload.name != COMMAND:
        return ()
    first: dict[tuple[tuple[str, Value], ...], Point] = {}
    found = []
    for point in document.points:
        others = {name: value for name, value in point.parameters.items() if name != COMMAND}
        reference = first.setdefault(tuple(others.items()), point)
        if reference is not point:
            speed, joules = (
                _ratio(name, point, reference) for name in ("inferences_per_second", "joules_per_inference")
            )
            name, other = (str(each.parameters[COMMAND]) for each in (point, reference))
            found.append(CommandRatio(name, other, others, speed, joules))
    return tuple(found)


def _ratio(name: str, point: Point, reference: Point) -> Ratio | None:
    """Return the ratio of a metric; the sensors are the same, so only the bounds that they do not share count."""
    metric = next(each for each in METRICS if each.name == name)
    found, other = metric.of(point, None), metric.of(reference, None)
    if found is None or other is None or not found.value.mean > 0 or not other.value.mean > 0:
        return None
    return single_ratio(found.value, other.value, found.shared, other.shared)
