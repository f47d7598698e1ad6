"""Points whose figure is the same as that of the best point, within a margin, by two one-sided tests; pure."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING

from agent.profiling.analysis.sequential import widening
from agent.profiling.analysis.statistics import summarize

if TYPE_CHECKING:
    from collections.abc import Mapping

FEWEST_PAIRS = 3


def equivalent_to_best(values: Mapping[str, Mapping[int, float]], margin: float, *, least: bool) -> dict[str, str]:
    """Return the best point for each point that is equivalent to it, by the names of the points.

    `values` are positive figures of each point by repeat; the best point has the least mean if `least`, else the
    greatest. `margin` is a share: with 0.02 the ratio of equivalent points is between 1 / 1.02 and 1.02.

    The ratios of both points in the same repeat are compared, so that what changes from repeat to repeat affects both.
    Points are equivalent if the interval of the mean log ratio lies within the margin (Schuirmann, Journal of
    Pharmacokinetics and Biopharmaceutics 15, 1987). That is the 95 % interval of `sequential`, where each of the two
    tests at 5 % would need the 90 % interval only, as the best point is chosen by the same repeats.
    """
    known = {name: own for name, own in values.items() if len(own) >= FEWEST_PAIRS}
    if not known:
        return {}
    best = (min if least else max)(known, key=lambda name: fmean(known[name].values()))
    return {name: best for name, own in known.items() if name != best and _is_equivalent(own, known[best], margin)}


def _is_equivalent(own: Mapping[int, float], best: Mapping[int, float], margin: float) -> bool:
    ratios = [math.log(own[repeat] / best[repeat]) for repeat in sorted(own.keys() & best.keys())]
    if len(ratios) < FEWEST_PAIRS:
        return False
    summary = summarize(ratios)
    return abs(summary.mean) + widening(ratios, 0.0).half_width(summary) <= math.log1p(margin)
