"""The one-sided confidence limits of a share: k successes in n independent trials; pure."""

from __future__ import annotations

import math

_MISS = 0.05
"""The probability that the true share lies beyond the limit."""
_HALVINGS = 60  # of (0, 1): more than a double's 53 bits
_PRECISION = 1e-14


def lower_limit(successes: int, trials: int) -> float:
    """Return the lower 95 % limit of a share, one-sided (Clopper and Pearson, Biometrika 26, 1934).

    It is the share at which this many successes or more have a probability of 5 %, exact to 1e-12: the solution of
    I_p(k, n - k + 1) = 0.05. Raises ValueError without a trial, or for more successes than trials.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"{successes} of {trials} is not a share")
    if not successes:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _incomplete_beta(middle, successes, trials - successes + 1) < _MISS:
            low = middle
        else:
            high = middle
    return low


def upper_limit(successes: int, trials: int) -> float:
    """Return the upper 95 % limit of a share, one-sided, as `lower_limit` does."""
    return 1.0 - lower_limit(trials - successes, trials)


def trials_without_miss(share: float) -> int:
    """Return the fewest trials, all successes, whose lower limit is at least `share` (above 0, below 1)."""
    return math.ceil(math.log(_MISS) / math.log(share) - 1e-9)


def _incomplete_beta(x: float, a: int, b: int) -> float:
    """Return the regularized incomplete beta function I_x(a, b) for 0 < x < 1 (DLMF 8.17.22, 8.17.4)."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below the mean
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) / a / _fraction(x, a, b)


def _fraction(x: float, a: int, b: int) -> float:
    """Return 1 + d1 / (1 + d2 / (1 + ...)) of DLMF 8.17.22, evaluated forwards by the modified method of Lentz."""
    value, above, below, term = 1.0, 1.0, 0.0, 0
    while True:
        term += 1
        half, odd = divmod(term, 2)
        start = a + 2 * half
        if odd:
            factor = -(a + half) * (a + b + half) * x / (start * (start + 1))
        else:
            factor = half * (b - half) * x / ((start - 1) * start)
        below = 1.0 / (1.0 + factor * below)
        above = 1.0 + factor / above
        value *= above * below
        if abs(above * below - 1.0) < _PRECISION:
            return value
