"""Machines that need more energy than the spread of their siblings explains, with Holm's correction; pure."""

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
    candidates is rather too strict. The test is that of one more sibling: its variance is that of the means of the
    siblings times 1 + 1/n, and that of the machine's own mean, with the degrees of freedom of Welch and Satterthwaite.
    A healthy machine that differs from the mean of its siblings as they differ among themselves is therefore no
    outlier. The interval of a ratio is of this variance, too. The largest ratio comes first.
    """
    ratios = [welch_ratio_of(LogGroup(each.days, each.mean, each.variance), _sibling(each)) for each in candidates]
    found = [
        Outlier(place_of(each.machine), Interval(ratio.ratio, ratio.lower, ratio.upper), p, each.days, each.siblings)
        for each, ratio, p in zip(candidates, ratios, corrected([ratio.p for ratio in ratios], tests), strict=True)
        if is_significant(ratio, p)
    ]
    return tuple(sorted(found, key=lambda each: (-each.ratio.mean, each.place.host, each.place.point)))


def _sibling(group: SiblingGroup) -> LogGroup:
    """Return the siblings as a group whose mean has the variance of one more sibling about their mean."""
    count = group.siblings
    return LogGroup(count, group.siblings_mean, group.siblings_variance * (count + 1))
