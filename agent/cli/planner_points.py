"""The option --for of `inferometer profile endpoint`: the points of a load that a planner needs."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.workloads.parameter import parameters_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.profiling.plan import MeasurementPlan
    from agent.workloads.declaration import Workload
    from agent.workloads.point import Point, Value

_NAME = "planner"
_LENGTHS = ("prompt_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class NeededPoints:
    """The combinations of parameters that a planner needs, and the successful requests of each; none without --for."""

    combinations: tuple[Point, ...] = ()
    requests: int = 0

    def lengthened(self, plan: MeasurementPlan) -> MeasurementPlan:
        """Return a plan whose windows have enough requests together."""
        least = math.ceil(self.requests / plan.repeats)
        return plan if least <= plan.iterations else replace(plan, name="custom", iterations=least)


def planner_option(workload: Workload) -> list[inspect.Parameter]:
    """Return the option --for as a parameter of a function, none for a workload without lengths of text."""
    if not set(_LENGTHS) <= {each.name for each in parameters_of(workload.spec)}:
        return []
    option = typer.Option(
        "--for",
        metavar="NAME",
        help="Measure the lengths and loads that a planner needs, such as llm-d-planner, with enough requests of each; "
        "`inferometer export --list` lists the planners.",
    )
    return [
        inspect.Parameter(_NAME, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])
    ]


def take_points(values: dict[str, Any]) -> NeededPoints:
    """Remove --for from the values of the options, and add the values of the parameters that its planner needs.

    Raises ValueError if no planner has that name, if it needs no points, or if a parameter is given as well.
    """
    name = values.pop(_NAME, None)
    if name is None:
        return NeededPoints()
    from agent.exports.registry import exporter_named

    exporter = exporter_named(name, "--for")
    if not exporter.points:
        raise ValueError(f"--for: {name} needs no certain points: it takes any load")
    swept = _swept(exporter.points)
    for parameter, needed in swept.items():
        if values[parameter]:
            raise ValueError(f"--for {name} sets --{parameter.replace('_', '-')}: leave it out")
        values[parameter] = [",".join(map(str, needed))]
    return NeededPoints(exporter.points, exporter.requests)


def _swept(points: tuple[Mapping[str, Value], ...]) -> dict[str, list[Value]]:
    """Return the values of each parameter, in the order of the points."""
    return {name: list(dict.fromkeys(point[name] for point in points)) for name in points[0]}
