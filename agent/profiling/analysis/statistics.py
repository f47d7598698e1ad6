"""Describes repeated measurements: a mean with its interval, percentiles of latencies, and whether a series drifts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.energy.student import t_quantile
from agent.profiling.run_facts import LatencySummary, Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Trend:
    """The straight line through consecutive values.

    `slope` is the change from one value to the next as a share of the absolute mean; `low` and `high` bound it with 95
    % confidence. `steady` is None for fewer than three values or a mean of 0.
    """

    slope: float | None
    low: float | None
    high: float | None
    steady: bool | None


def summarize(values: Sequence[float]) -> Summary:
    """Describe independent repeats of one quantity by mean +- t(0.975, n - 1) * s / sqrt(n).

    The formula is the two-sided interval of NIST/SEMATECH e-Handbook 1.3.5.2. Raises ValueError if there are no
    values or one is not finite.
    """
    _check(values)
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Summary(count, mean, None, None, None, None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = t_quantile(count - 1) * deviation / math.sqrt(count)
    return Summary(count, mean, deviation, deviation / abs(mean) if mean else None, mean - half, mean + half)


def percentile(values: Sequence[float], q: float) -> float:
    """Return the value below which the share `q` (0 to 1) of `values` lies, interpolated between order statistics.

    Definition 7 of Hyndman and Fan (1996), the default of numpy's quantile. Raises ValueError if there are no values,
    one is not finite, or `q` is outside 0 to 1.
    """
    _check(values)
    if not 0 <= q <= 1:
        raise ValueError(f"q = {q} is not a share from 0 to 1")
    return _interpolate(sorted(values), q)


def summarize_latencies(latencies: Sequence[float]) -> LatencySummary:
    """Describe latencies, in their own unit. Raises ValueError if there are none or one is not finite."""
    _check(latencies)
    ordered = sorted(latencies)
    return LatencySummary(
        count=len(ordered),
        mean=math.fsum(ordered) / len(ordered),
        minimum=ordered[0],
        p50=_interpolate(ordered, 0.5),
        p90=_tail(ordered, 0.9),
        p95=_tail(ordered, 0.95),
        p99=_tail(ordered, 0.99),
        maximum=ordered[-1],
    )


def supports_percentile(count: int, q: float) -> bool:
    """Return whether the largest of `count` values exceeds the percentile `q` (0 to 1) with 95 % confidence."""
    return bool(1 - q**count >= _CONFIDENCE)


def _tail(ordered: Sequence[float], q: float) -> float | None:
    return _interpolate(ordered, q) if supports_percentile(len(ordered), q) else None


def trend(values: Sequence[float], tolerance: float = 0.01) -> Trend:
    """Fit a least-squares line over the index and return it, with a verdict on whether the values have settled.

    They are not steady if both hold: the 95 % interval of the slope, slope +- t(0.975, n - 2) * s / sqrt(Sxx) (Draper
    and Smith, Applied Regression Analysis, chapter 1), excludes 0; and the line rises or falls by more than
    `tolerance`, a share of the mean, from the first value to the last. The second condition accepts very even values
    with an irrelevant drift. Steady thus means "no drift shown": few values show only a steep or an even one. Raises
    ValueError if there are no values or one is not finite.
    """
    _check(values)
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1 or not mean:
        return Trend(None, None, None, None)
    offsets = [index - (count - 1) / 2 for index in range(count)]
    spread = math.fsum(offset**2 for offset in offsets)
    slope = math.fsum(offset * (value - mean) for offset, value in zip(offsets, values, strict=True)) / spread
    relative = slope / abs(mean)
    freedom = count - 2  # the line has two parameters
    if not freedom:
        return Trend(relative, None, None, None)
    residual = math.fsum((value - mean - slope * offset) ** 2 for offset, value in zip(offsets, values, strict=True))
    half = t_quantile(freedom) * math.sqrt(residual / freedom / spread) / abs(mean)
    low, high = relative - half, relative + half
    return Trend(relative, low, high, low <= 0 <= high or abs(relative) * (count - 1) <= tolerance)


def _interpolate(ordered: Sequence[float], q: float) -> float:
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    share = position - below
    # From the nearer end, so that rounding never carries the result past either.
    return low + (high - low) * share if share < 1 - share else high - (high - low) * (1 - share)


def _check(values: Sequence[float]) -> None:
    if not values:
        raise ValueError("there are no values to describe")
    if not all(map(math.isfinite, values)):
        raise ValueError("a value is not finite")
