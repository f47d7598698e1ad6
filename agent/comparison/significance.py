"""The ratio of two groups of independent runs: Welch's interval of the log ratio, and Holm's correction; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import fmean, variance
from typing import TYPE_CHECKING

from agent.energy.student import t_beyond, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cost.interval import Interval

MIN_RUNS = 3
"""The fewest independent runs on each side from which a difference can be significant."""
SIGNIFICANCE = 0.05
_MOST_DEGREES = 10_000
"""From here on Student's t is the normal distribution to four digits."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The relative bounds of a value by its sensors: the true value is from 1 - below to 1 + above times it.

    `below` of 1 or more means that nothing bounds the value from below; `above` None, that nothing does from above.
    """

    below: float = 0.0
    above: float | None = 0.0


CANCELLED = Bounds()
"""The bounds of a sensor that measured both sides: its bias cancels in their ratio."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of two positive values with its 95 % interval; a bound is None if that side is unbounded.

    `p` is the probability of such a difference between equal groups, None if that is unknown.
    """

    ratio: float
    lower: float | None
    upper: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class LogGroup:
    """The natural logarithms of a group of runs: their number, mean and sample variance."""

    count: int
    mean: float
    variance: float


def welch_ratio(
    values: Sequence[float], reference: Sequence[float], bounds: Bounds = CANCELLED, others: Bounds = CANCELLED
) -> Ratio:
    """Return the ratio of the geometric means of two groups of runs, `values` over `reference`.

    The interval is Welch's for the difference of the means of the logarithms, its degrees of freedom (Welch and
    Satterthwaite) rounded down, which is conservative; then the bounds of the sensors on both sides widen it in the
    worst case. p is that of the least difference within these bounds. Raises ValueError for fewer than two runs in a
    group, or a value that is not above 0.
    """
    if min(len(values), len(reference)) < 2:  # noqa: PLR2004  a spread needs two values
        raise ValueError("a ratio with an interval needs two runs on each side")
    own, other = (LogGroup(len(each), fmean(each), variance(each)) for each in (_logs(values), _logs(reference)))
    return welch_ratio_of(own, other, bounds, others)


def welch_ratio_of(own: LogGroup, reference: LogGroup, bounds: Bounds = CANCELLED, others: Bounds = CANCELLED) -> Ratio:
    """Return the ratio of `welch_ratio` from the logarithms of two groups, each of two values or more."""
    difference = own.mean - reference.mean
    parts = [each.variance / each.count for each in (own, reference)]
    error = math.sqrt(sum(parts))
    low, high = _shifts(bounds, others)
    least = _nearest_to_zero(difference + low, difference + high)
    if not error:
        return _ratio(difference, difference + low, difference + high, float(not least))
    terms = (part**2 / (each.count - 1) for part, each in zip(parts, (own, reference), strict=True))
    degrees = min(_MOST_DEGREES, math.floor(sum(parts) ** 2 / sum(terms) + 1e-9))
    half = t_quantile(degrees) * error
    return _ratio(difference, difference - half + low, difference + half + high, t_beyond(least / error, degrees))


def single_ratio(value: Interval, reference: Interval, bounds: Bounds, others: Bounds) -> Ratio:
    """Return the ratio of two values that are not groups of runs; its p value is unknown.

    The widths of their own intervals add in quadrature, as the repeats of two runs are independent; the bounds of the
    sensors add in the worst case. Raises ValueError if a mean is not above 0.
    """
    difference = math.log(_positive(value.mean)) - math.log(_positive(reference.mean))
    low, high = _shifts(bounds, others)
    below = math.hypot(_log_below(value), _log_above(reference))
    above = math.hypot(_log_above(value), _log_below(reference))
    return replace(_ratio(difference, difference - below + low, difference + above + high, 1.0), p=None)


def mean_bounds(bounds: Sequence[Bounds]) -> Bounds:
    """Return the mean of the bounds of runs, which is the bound of their mean."""
    above = [each.above for each in bounds if each.above is not None]
    return Bounds(fmean(each.below for each in bounds), fmean(above) if len(above) == len(bounds) else None)


def _ratio(difference: float, lower: float, upper: float, p: float) -> Ratio:
    """Return a ratio from logarithms; an infinite bound is None."""
    low, high = (math.exp(each) if math.isfinite(each) else None for each in (lower, upper))
    return Ratio(math.exp(difference), low, high, p)


def _shifts(bounds: Bounds, others: Bounds) -> tuple[float, float]:
    """Return the largest changes of the log ratio, downwards and upwards, within the bounds of the sensors."""
    low = -math.inf if bounds.below >= 1 or others.above is None else math.log((1 - bounds.below) / (1 + others.above))
    high = math.inf if others.below >= 1 or bounds.above is None else math.log((1 + bounds.above) / (1 - others.below))
    return low, high


def _nearest_to_zero(low: float, high: float) -> float:
    """Return the value from `low` to `high` that is nearest to 0."""
    return 0.0 if low <= 0 <= high else min(low, high, key=abs)


def _log_below(value: Interval) -> float:
    return math.inf if value.lower is None or value.lower <= 0 else math.log(value.mean / value.lower)


def _log_above(value: Interval) -> float:
    return math.inf if value.upper is None else math.log(value.upper / value.mean)


def _positive(value: float) -> float:
    if not value > 0:
        raise ValueError("the logarithm needs values above 0")
    return value


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    count, largest = len(p_values), 0.0
    corrected = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def corrected(p_values: Sequence[float | None], tests: int) -> list[float]:
    """Return p values corrected by `holm` among `tests` in all; one that is not given, or unknown, counts as 1."""
    known = [1.0 if each is None else each for each in p_values]
    return holm([*known, *[1.0] * (tests - len(known))])[: len(known)]


def is_significant(found: Ratio, corrected: float) -> bool:
    """Return whether a ratio differs from 1: by its corrected p value, and by its widened interval."""
    excluded = (found.lower is not None and found.lower > 1) or (found.upper is not None and found.upper < 1)
    return excluded and corrected < SIGNIFICANCE


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(_positive(value)) for value in values]
