"""Machines whose energy the spread of their siblings does not explain, found one after the other; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, variance
from typing import TYPE_CHECKING

from agent.comparison.fleet_places import place_of
from agent.comparison.fleet_records import Outlier
from agent.comparison.significance import SIGNIFICANCE, LogGroup, Ratio, welch_ratio_of
from agent.cost.interval import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from store.fleet_records import HostEnergy, Machine

OUTLIER_SHARE = 0.10
"""The energy above or below that of the siblings from which a machine is an outlier."""


@dataclass(frozen=True, slots=True)
class Apart:
    """A machine that is apart from `siblings` others; p is corrected."""

    energy: HostEnergy
    ratio: Ratio
    p: float
    siblings: int


def machines_apart(energies: Sequence[HostEnergy], tests: int) -> list[Apart]:
    """Return the machines that are apart from the others of their setup by `OUTLIER_SHARE` and significantly.

    A machine with a wrong value widens the spread of its siblings so that it hides others. The most significant machine
    is therefore left out of the siblings, and the others are tested again, until none is significant or half of the
    machines would be left out (the generalized extreme Studentized deviate of Rosner, step by step).

    The test is that of one more sibling: its variance is that of the means of the siblings times 1 + 1/n, and that of
    the machine's own mean, with the degrees of freedom of Welch and Satterthwaite. A healthy machine that differs from
    the mean of its siblings as they differ among themselves is therefore no outlier. p is multiplied by `tests`, the
    number of tested machines of all setups, less those found before in its setup (Holm): with all m faulty machines
    left out, the others are the tests - m true hypotheses or fewer, and each has a p value of at most 5 % over that.
    """
    setups: dict[int, list[HostEnergy]] = {}
    for each in energies:
        setups.setdefault(each.setup, []).append(each)
    return [each for own in setups.values() for each in _one_by_one(own, tests)]


def outliers(found: Sequence[Apart], machines: Mapping[tuple[int, str], Machine]) -> tuple[Outlier, ...]:
    """Return machines that are apart with their names, the largest ratio first."""
    named = [
        Outlier(
            place_of(machines[each.energy.setup, each.energy.host_id]),
            Interval(each.ratio.ratio, each.ratio.lower, each.ratio.upper),
            each.p,
            each.energy.days,
            each.siblings,
        )
        for each in found
    ]
    return tuple(sorted(named, key=lambda each: (-each.ratio.mean, each.place.host, each.place.point)))


def _one_by_one(machines: Sequence[HostEnergy], tests: int) -> Iterator[Apart]:
    left, least = list(machines), 0.0
    for step in range((len(machines) - 1) // 2):
        found = _most_significant(left, tests - step)
        if found is None:
            return
        least = max(least, found.p)
        yield Apart(found.energy, found.ratio, least, found.siblings)
        left.remove(found.energy)


def _most_significant(machines: Sequence[HostEnergy], tests: int) -> Apart | None:
    """Return the machine of the smallest p value below 5 %, the farthest one of several; None without any."""
    means = [each.mean for each in machines]
    count, mean = len(means), fmean(means)
    squares, others = variance(means, mean) * (count - 1), count - 1
    found = []
    for each in machines:
        distance = each.mean - mean
        difference = distance * count / others
        if math.log1p(-OUTLIER_SHARE) < difference < math.log1p(OUTLIER_SHARE):
            continue
        spread = max(0.0, squares - distance**2 * count / others) / (others - 1)
        error = math.sqrt(spread * (1 + 1 / others) + each.variance / each.days)
        if error and tests * math.erfc(abs(difference) / error / math.sqrt(2)) >= SIGNIFICANCE:
            continue  # Student's p is larger than the normal one, which takes less time
        siblings = LogGroup(others, each.mean - difference, spread * count)  # its mean varies as one more sibling
        ratio = welch_ratio_of(LogGroup(each.days, each.mean, each.variance), siblings)
        found.append(Apart(each, ratio, min(1.0, tests * (ratio.p or 0.0)), others))
    best = min(found, key=lambda each: (each.p, -abs(math.log(each.ratio.ratio))), default=None)
    return best if best and best.p < SIGNIFICANCE else None
