"""A straight line through points whose two coordinates are both uncertain, with bounds that hold; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from agent.cost.interval import Interval
from agent.energy.student import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.energy.bounds import Energy

_PARAMETERS = 2
"""A line has two, so two points show no spread about it."""
_ROUNDING = 1e-12


class Pair(NamedTuple):
    """The power of one window below a meter and by the meter, in watts with bounds."""

    below: Energy
    meter: Energy


@dataclass(frozen=True, slots=True)
class Line:
    """The line meter = offset + slope * below, in watts, with the standard deviation of the points about it."""

    slope: Interval
    offset: Interval
    deviation: float


def fit_line(pairs: Sequence[Pair]) -> Line | None:
    """Return the least-squares line of at least two points, None if their bounds leave its slope open.

    The interval of the slope is Student's 95 % interval for the spread of the points about the line (Draper and Smith,
    Applied Regression Analysis, chapter 1), widened by the bounds of both coordinates. With the weights
    w = (x - mean x) / Sxx, the least-squares slope of the read values is b (1 + sum w dx) - sum w dy for the true slope
    b and errors dx and dy of the readings, so that the bounds of both sums bound b.
    """
    below, meter = [pair.below.joules for pair in pairs], [pair.meter.joules for pair in pairs]
    x, y, count = fmean(below), fmean(meter), len(pairs)
    spread = math.fsum((each - x) ** 2 for each in below)
    if spread <= _ROUNDING * x * x:
        return None
    weights = [(each - x) / spread for each in below]
    slope = math.fsum(weight * each for weight, each in zip(weights, meter, strict=True))
    squares = math.fsum((b - y - slope * (a - x)) ** 2 for a, b in zip(below, meter, strict=True))
    freedom = count - _PARAMETERS
    deviation = math.sqrt(squares / freedom) if freedom else 0.0
    half = t_quantile(freedom) * deviation if freedom else 0.0
    errors_below = _weighted_errors(weights, [pair.below for pair in pairs])
    errors_meter = _weighted_errors(weights, [pair.meter for pair in pairs])
    if 1 + errors_below[0] <= 0:
        return None
    scatter = half / math.sqrt(spread)
    low = slope - scatter + errors_meter[0]
    high = slope + scatter + errors_meter[1]
    least = low / (1 + errors_below[low > 0])
    most = high / (1 + errors_below[high < 0])
    ordered = Interval(slope, min(slope, least), max(slope, most))
    return Line(ordered, _offset(pairs, (least, slope, most), half / math.sqrt(count)), deviation)


def _weighted_errors(weights: Sequence[float], values: Sequence[Energy]) -> tuple[float, float]:
    """Return the least and the largest weighted sum of true values less read values."""
    ends = [
        (weight * (value.lower - value.joules), weight * (value.upper - value.joules))
        for weight, value in zip(weights, values, strict=True)
    ]
    return math.fsum(map(min, ends)), math.fsum(map(max, ends))


def _offset(pairs: Sequence[Pair], slopes: tuple[float, float, float], scatter: float) -> Interval:
    """Return the power of the meter where the sensors below show none, for the least, best and largest slope."""
    least, slope, most = slopes
    below, meter = ([pair[axis] for pair in pairs] for axis in (0, 1))
    lower, upper = fmean(each.lower for each in meter) - scatter, fmean(each.upper for each in meter) + scatter
    ends = (fmean(each.lower for each in below), fmean(each.upper for each in below))
    mean = fmean(each.joules for each in meter) - slope * fmean(each.joules for each in below)
    lower -= max(most * end for end in ends)
    upper -= min(least * end for end in ends)
    return Interval(mean, min(mean, lower), max(mean, upper))  # rounding can exchange equal ones
