"""Lasting changes of the energy of one machine: the best split of its days, with corrected p; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from agent.comparison.fleet_places import place_of
from agent.comparison.fleet_records import Drift
from agent.comparison.significance import MIN_RUNS, Ratio, corrected, is_significant
from agent.cost.interval import Interval
from agent.energy.student import t_beyond, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.fleet_records import EnergySeries

DRIFT_SHARE = 0.05
"""The change of the energy from which it is drift."""
FEWEST_DAYS = 2 * MIN_RUNS
"""The fewest days of a series. Repetitions within a day are alike, so a day is one value."""


@dataclass(frozen=True, slots=True)
class Split:
    """A series in two parts, the second of which begins at `at`; the ratio is that of the second over the first."""

    at: int
    ratio: Ratio


def drifts(series: Sequence[EnergySeries], tests: int) -> tuple[Drift, ...]:
    """Return the machines with a significant change of `DRIFT_SHARE` or more in either direction, the largest first.

    `tests` is the number of all series; those that are not given have the p value 1.
    """
    splits = [best_split(each.logs) for each in series]
    found = [
        _drift(each, split, p)
        for each, split, p in zip(series, splits, corrected([split.ratio.p for split in splits], tests), strict=True)
        if is_significant(split.ratio, p) and abs(math.log(split.ratio.ratio)) >= math.log1p(DRIFT_SHARE)
    ]
    return tuple(sorted(found, key=lambda each: (-abs(math.log(each.ratio.mean)), each.place.host, each.place.point)))


def best_split(logs: Sequence[float]) -> Split:
    """Return the split of a series into two parts of three values or more that differ most, by Student's t.

    The variance is that within both parts. p is multiplied by the number of splits (Bonferroni), as the best one was
    chosen. The values are logarithms of days in their order. Raises ValueError for fewer than six.
    """
    count = len(logs)
    if count < FEWEST_DAYS:
        raise ValueError(f"a split needs {FEWEST_DAYS} days, not {count}")
    origin = logs[0]  # so that the squares lose no digits
    sums = list(accumulate((each - origin for each in logs), initial=0.0))
    squares = list(accumulate(((each - origin) ** 2 for each in logs), initial=0.0))
    places = range(MIN_RUNS, count - MIN_RUNS + 1)
    found = [_t(sums, squares, at) for at in places]
    at, (difference, error) = max(zip(places, found, strict=True), key=lambda each: _size(*each[1]))
    p = min(1.0, len(places) * t_beyond(difference / error, count - 2)) if error else float(not difference)
    half = t_quantile(count - 2) * error
    return Split(at, Ratio(math.exp(difference), math.exp(difference - half), math.exp(difference + half), p))


def _t(sums: Sequence[float], squares: Sequence[float], at: int) -> tuple[float, float]:
    """Return the difference of the means of both parts, and its standard error."""
    count, total = len(sums) - 1, sums[-1]
    first, second = sums[at], total - sums[at]
    within = squares[-1] - first**2 / at - second**2 / (count - at)
    error = math.sqrt(max(0.0, within) / (count - 2) * (1 / at + 1 / (count - at)))
    return second / (count - at) - first / at, error


def _size(difference: float, error: float) -> float:
    """Return the size of t, infinite without any scatter."""
    if error:
        return abs(difference) / error
    return math.inf if difference else 0.0


def _drift(series: EnergySeries, split: Split, p: float) -> Drift:
    at, ratio = split.at, split.ratio
    before, after = series.versions[at - 1], series.versions[at]
    return Drift(
        place=place_of(series.machine),
        since=_moment(series.times_ns[at]),
        previous=_moment(series.times_ns[at - 1]),
        ratio=Interval(ratio.ratio, ratio.lower, ratio.upper),
        p=p,
        days_before=at,
        days_after=len(series.logs) - at,
        upgrade=None if before == after else f"{before} to {after}",
    )


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).isoformat(timespec="seconds")
