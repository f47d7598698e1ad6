"""Derives operations and bytes per second, and joules for each of them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.profiling.analysis.intervals import interval
from agent.profiling.analysis.precision import interval_widening
from agent.profiling.points import complete_repeats
from agent.profiling.records import PhaseWork, UncertainValue
from agent.workloads.point import encode_point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.cost.interval import Interval
    from agent.profiling.analysis.sequential import Widening
    from agent.profiling.records import Point
    from agent.workloads.work import Work
    from store.records import Window


def with_work(
    points: Sequence[Point],
    works: Mapping[str, Mapping[str, Work]],
    windows: Sequence[Window],
    tolerance: float | None = None,
) -> tuple[Point, ...]:
    """Return the points with the work of their phases; `works` are by the encoded point, then by the phase.

    With a `tolerance`, the intervals are those of repeats that go on until they are narrow.
    """
    return tuple(
        msgspec.structs.replace(point, work=_phases(point, work, windows, tolerance))
        if (work := works.get(encode_point(point.parameters)))
        else point
        for point in points
    )


def _phases(
    point: Point, works: Mapping[str, Work], windows: Sequence[Window], tolerance: float | None
) -> tuple[PhaseWork, ...]:
    own = [window for window in windows if window.point == encode_point(point.parameters)]
    repeats = complete_repeats(own, [phase.phase for phase in point.phases])
    joules = {phase.phase: phase.joules_per_inference for phase in point.energy.phases} if point.energy else {}
    found = []
    for windows_of_phase in zip(*repeats, strict=True):
        phase = windows_of_phase[0].phase
        rates = [window.work / window.seconds for window in windows_of_phase]
        if phase in works:
            widening = interval_widening((), rates, tolerance)
            found.append(_phase(phase, works[phase], rates, joules.get(phase), widening))
    return tuple(found)


def _phase(
    phase: str, work: Work, rates: Sequence[float], joules: UncertainValue | None, widening: Widening
) -> PhaseWork:
    return PhaseWork(
        phase=phase,
        operations_per_inference=work.operations,
        moved_bytes_per_inference=work.moved_bytes,
        allocated_bytes_per_inference=work.allocated_bytes,
        operations_per_second=_rate(work.operations, rates, widening),
        bytes_per_second=_rate(work.moved_bytes, rates, widening),
        joules_per_operation=_each(joules, work.operations),
        joules_per_byte=_each(joules, work.moved_bytes),
    )


def _rate(count: float | None, rates: Sequence[float], widening: Widening) -> Interval | None:
    return interval([count * rate for rate in rates], widening) if count else None


def _each(joules: UncertainValue | None, count: float | None) -> UncertainValue | None:
    if joules is None or not count:
        return None
    return UncertainValue(joules.mean / count, joules.lower / count, joules.upper / count, joules.source)
