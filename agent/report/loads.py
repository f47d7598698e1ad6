"""The axis of the load: the parameter that varies between the points of profiles, and their places on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.report.chart import Axis, Line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.profiling.records import Point
    from agent.report.view import View

_TITLES = {
    "rate": "offered load, requests/s",
    "concurrency": "concurrent clients",
    "batch": "batch size",
    "prompt_tokens": "input tokens of a request",
    "output_tokens": "output tokens of a request",
}
_WIDE = 12
"""The ratio of the largest load to the smallest from which the axis is logarithmic."""
Amount = tuple[float, float | None, float | None]
"""A mean with its bounds."""


@dataclass(frozen=True, slots=True)
class Loads:
    """The axis that the points of several profiles share."""

    axis: Axis
    parameter: str | None

    def place(self, point: Point) -> float:
        """Return the place of a point on the axis."""
        if self.parameter is None:
            return float(self.axis.names.index(point.name))
        return float(point.parameters[self.parameter])

    def line(
        self, view: View, name: str, color: str, value: Callable[[Point], Amount | None], *, dashed: bool = False
    ) -> Line | None:
        """Return a line of one quantity over the load, None if no point has it."""
        found = [(self.place(point), point, amount) for point in view.document.points if (amount := value(point))]
        found.sort(key=lambda each: each[0])
        if not found:
            return None
        amounts = [amount for _, _, amount in found]
        bounded = any(lower is not None or upper is not None for _, lower, upper in amounts)
        return Line(
            name,
            tuple(place for place, _, _ in found),
            tuple(mean for mean, _, _ in amounts),
            color,
            tuple(lower for _, lower, _ in amounts) if bounded else (),
            tuple(upper for _, _, upper in amounts) if bounded else (),
            tuple(point.name for _, point, _ in found),
            dashed,
            connected=self.parameter is not None,
        )


def loads_of(views: Sequence[View]) -> Loads:
    """Return a numeric axis if exactly one number varies between the points, else one of the points' names."""
    parameters = [_varying(view.document.points) for view in views]
    only = parameters[0] if parameters else None
    points = [point for view in views for point in view.document.points]
    if only is None or any(parameter != only for parameter in parameters):
        return Loads(Axis("", tuple(dict.fromkeys(point.name for point in points))), None)
    values = [float(point.parameters[only]) for point in points]
    log = min(values) > 0 and max(values) / min(values) >= _WIDE
    return Loads(Axis(_TITLES.get(only, only.replace("_", " ")), log=log), only)


def _varying(points: Sequence[Point]) -> str | None:
    """Return the only parameter with different values if all are numbers, also for a single point with one."""
    names = dict.fromkeys(name for point in points for name in point.parameters)
    found = [
        name for name in names if len(points) == 1 or len({str(point.parameters.get(name)) for point in points}) > 1
    ]
    if len(found) != 1:
        return None
    values = [point.parameters.get(found[0]) for point in points]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return found[0] if len(numbers) == len(values) and len(set(numbers)) == len(numbers) else None
