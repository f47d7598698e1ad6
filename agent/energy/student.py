"""Student's t distribution; pure."""

from __future__ import annotations

import math
from functools import lru_cache

_CONFIDENCE = 0.95  # two-sided, so the quantile of 0.975
_NORMAL_QUANTILE = 1.959963984540054  # of 0.975: the limit of Student's t for many degrees of freedom
_EXPANSION_FROM = 100  # degrees of freedom from which the expansion is exact to 1e-10
_HALVINGS = 60  # of (0, pi/2): more than a double's 53 bits


@lru_cache(maxsize=1024)
def t_quantile(degrees: int) -> float:
    """Return Student's t of 0.975 for `degrees` of freedom, exact to 1e-9.

    Below 100 degrees the finite series of the distribution (Abramowitz and Stegun 26.7.3, 26.7.4) is inverted by
    halving, from there on the expansion about the normal quantile (26.7.5) is used. Raises ValueError below 1.
    """
    if degrees < 1:
        raise ValueError(f"Student's t needs at least 1 degree of freedom, not {degrees}")
    if degrees >= _EXPANSION_FROM:
        return _expanded_quantile(degrees)
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < _CONFIDENCE:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def t_beyond(t: float, degrees: int) -> float:
    """Return the probability that Student's t lies beyond -t or t, the two-sided p value. Raises ValueError below 1."""
    if degrees < 1:
        raise ValueError(f"Student's t needs at least 1 degree of freedom, not {degrees}")
    return max(0.0, 1 - _central_probability(math.atan(abs(t) / math.sqrt(degrees)), degrees))


def _central_probability(theta: float, degrees: int) -> float:
    """P(|T| < t) at theta = atan(t / sqrt(degrees)): a finite series in the cosine, of odd or of even powers."""
    cosine, odd = math.cos(theta), degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    series = math.sin(theta) * total
    return (theta + series) * 2 / math.pi if odd else series


def _expanded_quantile(degrees: int) -> float:
    x = _NORMAL_QUANTILE
    return (
        x
        + (x**3 + x) / 4 / degrees
        + (5 * x**5 + 16 * x**3 + 3 * x) / 96 / degrees**2
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384 / degrees**3
        + (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160 / degrees**4
    )
