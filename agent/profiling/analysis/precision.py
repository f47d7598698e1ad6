"""The relative half-width of the mean of repeats, and the number of repeats for a narrower one; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agent.profiling.analysis.sequential import (
    FEWEST_REPEATS,
    STUDENT,
    correlation,
    counted_correlation,
    relative_half_width,
    widening,
)
from agent.profiling.analysis.statistics import summarize
from agent.profiling.run_facts import Convergence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.analysis.sequential import Widening

MAX_REPEATS = 100_000
"""The limit of the search: no run lasts that long."""


def half_width(values: Sequence[float]) -> float | None:
    """Return half of the 95 % interval of the mean of repeats (Student's t) as a share of the mean.

    None for fewer than two values or a mean of 0. Raises ValueError if a value is not finite.
    """
    if not values:
        return None
    summary = summarize(values)
    if summary.upper is None or not summary.mean:
        return None
    return (summary.upper - summary.mean) / abs(summary.mean)


def sequential_half_width(values: Sequence[float]) -> float | None:
    """Return the same for repeats that go on until it is small: Student's interval, widened by `sequential`."""
    student = half_width(values)
    return None if student is None else student * widening(values, 0.0).factor


def interval_widening(joules: Sequence[float], rates: Sequence[float], tolerance: float | None) -> Widening:
    """Return the widening of the intervals of a point, by its energy, else by its rate; none without a tolerance."""
    return STUDENT if tolerance is None else widening(joules or rates, tolerance)


def is_converged(values: Sequence[float], tolerance: float) -> bool:
    """Return whether repeats that go on until their interval is narrow have reached the tolerance."""
    half = sequential_half_width(values)
    return half is not None and half <= tolerance and len(values) >= FEWEST_REPEATS


def repeats_needed(values: Sequence[float], tolerance: float) -> int | None:
    """Return the smallest number of repeats with a sequential half-width within `tolerance`, at least 8.

    The spread and the correlation of `values` are taken as those of the further repeats; the half-width then falls with
    their number. None if the spread is unknown, or more than `MAX_REPEATS` are needed.
    """
    cv = summarize(values).cv if values else None
    if cv is None:
        return None
    estimated, low, high = correlation(values), FEWEST_REPEATS - 1, MAX_REPEATS
    if relative_half_width(high, cv, estimated) > tolerance:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if relative_half_width(middle, cv, estimated) <= tolerance:
            high = middle
        else:
            low = middle
    return high


def precision(
    joules: Sequence[float], rates: Sequence[float], tolerance: float | None, equivalent_to: str | None = None
) -> Convergence:
    """Return the convergence of a point by the joules per inference of its repeats, else by their rates.

    Without a tolerance the number of repeats was fixed before, and the interval is Student's. `equivalent_to` is the
    point for whose sake this one was measured no further.
    """
    values = joules or rates
    metric: Literal["joules_per_inference", "inferences_per_second"]
    metric = "joules_per_inference" if joules else "inferences_per_second"
    if tolerance is None:
        return Convergence(metric, half_width(values), None, None, None)
    return Convergence(
        metric=metric,
        relative_half_width=sequential_half_width(values),
        tolerance=tolerance,
        converged=is_converged(values, tolerance),
        repeats_needed=repeats_needed(values, tolerance),
        correlation=counted_correlation(len(values), correlation(values)) if len(values) > 1 else None,
        equivalent_to=equivalent_to,
    )
