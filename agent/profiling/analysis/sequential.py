"""The interval of a mean whose repeats go on until it is narrow enough, and may resemble their neighbors; pure.

Student's interval is too narrow for such repeats, for two reasons. A repeat that resembles the one before adds less
than an independent one. And an interval that is computed after every repeat is most likely narrow enough when it
happens to be too narrow, which lowers the share of intervals that contain the truth (Singham and Schruben,
"Finite-sample performance of absolute precision stopping rules", INFORMS Journal on Computing 24, 2012).

So the half-width is corrected as for a first-order autoregression, repeats count as correlated until they have shown
that they are not, the interval is computed seldom (`next_check`), and it is never reported narrower than the tolerance:
the fixed-width interval of Chow and Robbins (Annals of Mathematical Statistics 36, 1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.student import t_quantile
from agent.profiling.analysis.statistics import summarize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.run_facts import Summary

ASSUMED_CORRELATION = 0.9
"""The correlation of a repeat with the next one that counts until the repeats exclude it."""
MAX_CORRELATION = 0.99
_STANDARD_ERRORS = 3.0
"""The standard errors by which the counted correlation exceeds the estimated one."""
FEWEST_REPEATS = 8
"""The repeats from which an interval can be narrow enough: fewer may all be from one state of a host that has two."""
_LEAST_DEGREES = 3
"""The degrees of freedom of the variance of a few repeats that change slowly: a random walk has two to three."""
_CHECK_GROWTH = 1.2
"""The number of repeats at a check over that at the check before."""


@dataclass(frozen=True, slots=True)
class Widening:
    """A wider interval than Student's: the half-width is `factor` times as large, and at least `least` of the mean."""

    factor: float = 1.0
    least: float = 0.0

    def half_width(self, summary: Summary) -> float:
        """Return the half-width of the interval of a mean, in the unit of the values; 0 for one value."""
        if summary.upper is None:
            return 0.0
        return max(self.factor * (summary.upper - summary.mean), self.least * abs(summary.mean))


STUDENT = Widening()
"""Student's interval as it is: for a number of repeats that was fixed before."""


def next_check(count: int) -> int:
    """Return the number of repeats at which the interval is computed next after a check at `count`."""
    return max(count + 1, math.ceil(_CHECK_GROWTH * count))


def widening(values: Sequence[float], tolerance: float) -> Widening:
    """Return the change of Student's interval for repeats that went on until its half-width was within `tolerance`."""
    if len(values) < 2:  # noqa: PLR2004  a spread needs two values
        return Widening(1.0, tolerance)
    return Widening(_factor(len(values), correlation(values)), tolerance)


def relative_half_width(count: int, cv: float, estimated: float) -> float:
    """Return the half-width of the 95 % interval over the mean, for repeats of a spread and an estimated correlation.

    `cv` is the standard deviation of the sample over the mean.
    """
    return _factor(count, estimated) * t_quantile(count - 1) * cv / math.sqrt(count)


def correlation(values: Sequence[float]) -> float:
    """Return the estimated correlation of a repeat with the next one.

    It is the lag-1 autocorrelation of the sample without its bias of -(1 + 4 rho) / n (Marriott and Pope, Biometrika
    41, 1954). Too few or equal values have the assumed correlation.
    """
    count, summary = len(values), summarize(values)
    if count < FEWEST_REPEATS or not summary.standard_deviation:
        return ASSUMED_CORRELATION
    offsets = [value - summary.mean for value in values]
    squares = math.fsum(offset**2 for offset in offsets)
    products = math.fsum(one * other for one, other in pairwise(offsets))
    return max(-MAX_CORRELATION, min(MAX_CORRELATION, (count * products / squares + 1) / (count - 4)))


def counted_correlation(count: int, estimated: float) -> float:
    """Return the correlation that the interval of `count` repeats allows for, from 0 to 0.99.

    It is the estimate plus three standard errors, sqrt((1 - rho^2) / n) (Bartlett, Supplement to the Journal of the
    Royal Statistical Society 8, 1946), but no more than the assumed one unless the estimate itself is larger. Three,
    because a run stops when its estimate happens to be small: fewer cover less than 93 % of the runs in simulations.
    """
    upper = estimated + _STANDARD_ERRORS * math.sqrt((1 - estimated**2) / count)
    return max(0.0, min(upper, max(ASSUMED_CORRELATION, estimated)))


def _factor(count: int, estimated: float) -> float:
    """Return the half-width for correlated repeats over Student's.

    Of n repeats with the correlation rho, the mean varies like that of n / q independent ones, and the variance of the
    sample is too small by (n - q) / (n - 1), with q = 1 + 2 * sum of (1 - k / n) * rho^k for k from 1 to n - 1 (Zieba,
    "Effective number of observations", Metrology and Measurement Systems 17, 2010). Its degrees of freedom are n over
    the same sum for rho^2, less 1 (Bayley and Hammersley, Supplement to the Journal of the Royal Statistical Society 8,
    1946).
    """
    rho = counted_correlation(count, estimated)
    shared = _variance_ratio(count, rho)
    degrees = min(count - 1, max(_LEAST_DEGREES, math.floor(count / _variance_ratio(count, rho**2)) - 1))
    quantiles = t_quantile(degrees) / t_quantile(count - 1)
    return quantiles * math.sqrt(shared * (count - 1) / (count - shared))


def _variance_ratio(count: int, rho: float) -> float:
    """Return the variance of the mean of correlated repeats over that of independent ones: q, in closed form."""
    rest = 1 - rho
    return (1 + rho) / rest - 2 * rho * (1 - rho**count) / (count * rest**2)
