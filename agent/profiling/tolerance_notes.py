"""The notes of a profile on its tolerance: met or missed, and the points that were measured no further."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.plan import MeasurementPlan
    from agent.profiling.records import Point


def tolerance_notes(plan: MeasurementPlan, points: Sequence[Point]) -> list[str]:
    """Return the notes, none without a tolerance."""
    if plan.tolerance is None:
        return []
    equal = [] if plan.equivalence is None else _equivalence(plan.equivalence, points)
    return [_tolerance(plan.tolerance, points), *equal]


def _equivalence(margin: float, points: Sequence[Point]) -> list[str]:
    """Return a note on each point that was measured no further."""
    words = "so it was measured no further than its interval shows"
    return [
        f"{point.name} equals {point.convergence.equivalent_to} within ±{margin * 100:g} %, {words}"
        for point in points
        if point.convergence.equivalent_to
    ]


def _tolerance(tolerance: float, points: Sequence[Point]) -> str:
    asked = f"the tolerance of ±{tolerance * 100:g} %"
    known = [point for point in points if not point.convergence.equivalent_to]
    missed = [point.name for point in known if not point.convergence.converged]
    if not missed:
        return f"{asked} was met by every {'point' if len(known) == len(points) else 'other point'}"
    missing = f"{asked} was not met in time by {', '.join(missed)}"
    return f"{missing}: the checks report the repeats needed, --budget allows more time"
