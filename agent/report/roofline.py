"""The chart of a roofline: operations per second by the operations for each byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.report.chart import Axis, Chart, Line, series_color

if TYPE_CHECKING:
    from agent.profiling.roofline import Roofline
    from agent.profiling.run_facts import Ceiling

_GIGA = 1e-9
_BESIDE = 8.0
"""The factor by which the axis extends beyond the outermost ridge or phase."""


def roofline_chart(found: Roofline) -> Chart:
    """Return the chart; both axes are logarithmic. Raises ValueError without a ceiling."""
    if not found.ceilings:
        raise ValueError("a roofline needs a ceiling")
    ridges = [each.operations_per_second / each.bytes_per_second for each in found.ceilings]
    places = [*ridges, *(phase.operations_per_byte for phase in found.phases)]
    ends = min(places) / _BESIDE, max(places) * _BESIDE
    lines = [_ceiling(each, ends, number) for number, each in enumerate(found.ceilings)]
    lines += [
        Line(
            f"{phase.point} {phase.phase}",
            (phase.operations_per_byte,),
            (phase.operations_per_second * _GIGA,),
            series_color(len(found.ceilings) + number),
            connected=False,
        )
        for number, phase in enumerate(found.phases)
    ]
    highest = max(each.operations_per_second for each in found.ceilings) * _GIGA
    return Chart(
        "roofline",
        f"Roofline of {found.device}",
        f"Up to {highest:.3g} GFLOP/s, and {found.ceilings[0].bytes_per_second * _GIGA:.3g} GB/s of memory.",
        Axis("operations for each byte", log=True),
        Axis("GFLOP/s", log=True),
        tuple(lines),
    )


def _ceiling(ceiling: Ceiling, ends: tuple[float, float], number: int) -> Line:
    ridge = ceiling.operations_per_second / ceiling.bytes_per_second
    places = (ends[0], ridge, ends[1])
    rates = tuple(min(ceiling.operations_per_second, place * ceiling.bytes_per_second) * _GIGA for place in places)
    return Line(f"{ceiling.precision} ceiling", places, rates, series_color(number), marked=False)
