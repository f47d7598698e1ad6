"""The relative half-width of the mean of repeats, and the number of repeats for a narrower one; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence  # noqa: TC003  the schema is made from the annotations of this module

from agent.profiling.analysis.statistics import summarize, t_quantile
from agent.profiling.run_facts import Convergence

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


def repeats_needed(values: Sequence[float], tolerance: float) -> int | None:
    """Return the smallest number of repeats with a half-width within `tolerance`, given the spread of `values`.

    It solves t(0.975, n - 1) * CV / sqrt(n) <= tolerance, whose left side falls with n. None if the spread is unknown,
    or more than `MAX_REPEATS` are needed.
    """
    cv = summarize(values).cv if values else None
    if cv is None:
        return None
    low, high = 1, MAX_REPEATS
    if t_quantile(high - 1) * cv / math.sqrt(high) > tolerance:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if t_quantile(middle - 1) * cv / math.sqrt(middle) <= tolerance:
            high = middle
        else:
            low = middle
    return high


def precision(joules: Sequence[float], rates: Sequence[float], tolerance: float | None) -> Convergence:
    """Return the convergence of a point by the joules per inference of its repeats, else by their rates."""
    values = joules or rates
    found = half_width(values)
    return Convergence(
        metric="joules_per_inference" if joules else "inferences_per_second",
        relative_half_width=found,
        tolerance=tolerance,
        converged=None if tolerance is None else found is not None and found <= tolerance,
        repeats_needed=None if tolerance is None else repeats_needed(values, tolerance),
    )
