"""Machines that need more energy than their siblings, by Welch's test with Holm's correction; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.comparison.fleet_places import place_of
from agent.comparison.fleet_records import Outlier
from agent.comparison.significance import LogGroup, corrected, is_significant, welch_ratio_of
from agent.cost.interval import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.fleet_records import SiblingGroup

OUTLIER_SHARE = 0.10
"""The energy above that of the siblings from which a machine is an outlier."""


def outliers(candidates: Sequence[SiblingGroup], tests: int) -> tuple[Outlier, ...]:
    """Return the significant ones of machines whose energy is `OUTLIER_SHARE` above that of their siblings.

    `tests` is the number of all tested machines; the others have the p value 1, so that the correction of the
    candidates is rather too strict. The siblings are independent values: the mean of each host counts once. The largest
    ratio comes first.
    """
    ratios = [
        welch_ratio_of(
            LogGroup(each.runs, each.mean, each.variance),
            LogGroup(each.siblings, each.siblings_mean, each.siblings_variance),
        )
        for each in candidates
    ]
    found = [
        Outlier(place_of(each.machine), Interval(ratio.ratio, ratio.lower, ratio.upper), p, each.runs, each.siblings)
        for each, ratio, p in zip(candidates, ratios, corrected([ratio.p for ratio in ratios], tests), strict=True)
        if is_significant(ratio, p)
    ]
    return tuple(sorted(found, key=lambda each: (-each.ratio.mean, each.place.host, each.place.point)))
