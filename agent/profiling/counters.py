"""The energy of a window by a counter of joules; pure.

A counter shows the energy at its last refresh, which was at most one refresh period ago. So the true energy at a
window's edge is no less than the last value read before it, and no more than the first value that is surely of a later
refresh: one read a refresh period after the edge, or one that differs from a value read after the edge. Where the power
limit is known the bound is tighter: from a refresh at one moment to the edge no more was drawn than the ceiling of the
power allows, on either side. The estimate puts each refresh in the middle of the stretch it must have happened in and
interpolates.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.profiling.joules import (
    ASSUMED_REFRESH_SECONDS,
    ASSUMED_RESOLUTION_JOULES,
    Energy,
    Told,
    ceiling_watts,
    slowest_refresh_seconds,
)
from agent.profiling.refreshes import Refreshes
from probes.model import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Series

_MICRO = 1e6
_FEWEST_CHANGES_BACK = 3
_BREAKS = {
    Reason.RESET: "the counter was reset",
    Reason.WRAP_UNKNOWN: "the counter may have wrapped more than once between two reads",
}
"""What ends one stretch of counting and begins another."""


class CounterEnergy:
    """The energy of any window of one counter.

    The refreshes of the whole series are found once; a window then costs two edges and the peak between them.
    """

    def __init__(self, series: Series) -> None:
        times, values, halves = series.times_ns, series.values, series.halves_ns
        self._series, self._times, self._values = series, times, values
        self._starts = array("q", (at - half for at, half in zip(times, halves, strict=True))) if halves else times
        self._ends = array("q", (at + half for at, half in zip(times, halves, strict=True))) if halves else times
        changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
        self._changes = array("q", [0, *changes])  # the first read of every value
        self._distances = array("q", [times[b] - times[a - 1] for a, b in pairwise(changes)])
        self._resolution = series.channel.resolution or _seen_resolution(values, changes)
        self._refreshes = Refreshes(series, changes, self._resolution)

    def between(self, start_ns: int, end_ns: int, first: int, last: int) -> Told:
        """Return the energy of a window that the samples bracket; the reads from `first` to `last` are around it.

        The peak is the highest mean power over a stretch of the window long enough to tell it to a tenth. Where the
        samples end less than a refresh period after the window, the bound holds if the power was within the channel's
        limit or, if it has none, four times the steepest rise seen.
        """
        reach, seen = self._refresh_ns(first, last), self._refreshes
        ceiling = ceiling_watts(self._series.channel.limit, seen.steepest_watts(first, last))
        start, end = (self._energy_at(at_ns, reach, ceiling) for at_ns in (start_ns, end_ns))
        lower = max(0.0, end.lower - start.upper)
        upper = end.upper - start.lower
        joules = min(max(lower, end.joules - start.joules), upper)
        peak = seen.peak_watts(start_ns - reach, end_ns + reach)
        upper += ceiling * _doubtful_seconds(self._series, start_ns, end_ns)
        lost_seconds, blind_seconds, reason = _not_counted(self._series, start_ns, end_ns, reach)
        if not blind_seconds:
            return Told(Energy(joules, lower, upper), peak)
        counted_seconds = (end_ns - start_ns) / 1e9 - lost_seconds
        filled = joules / counted_seconds * lost_seconds if counted_seconds > 0 else 0.0
        reason = f"{reason}: {lost_seconds:.3g} s were not counted and are filled in with the mean power"
        upper = max(upper + ceiling * blind_seconds, joules + filled)
        return Told(Energy(joules + filled, lower, upper), peak, (reason,))

    def _refresh_ns(self, first: int, last: int) -> int:
        """Return the refresh period: the stated one, else the longest time between changes seen, a second at least."""
        channel = self._series.channel
        if channel.refresh_seconds:
            return round(slowest_refresh_seconds(channel) * 1e9)
        # The first of the changes is the first read, and a distance is between two that follow it.
        since, until = bisect_right(self._changes, first), bisect_left(self._changes, last)
        seen = self._distances[max(0, since - 1) : max(0, until - 2)]
        return max(round(ASSUMED_REFRESH_SECONDS * 1e9), max(seen, default=0))

    def _energy_at(self, at_ns: int, refresh_ns: int, ceiling: float) -> Energy:
        """Return what the counter would have shown at `at_ns` had it refreshed just then, with its bounds."""
        lower, upper = self._least(at_ns, refresh_ns, ceiling), self._most(at_ns, refresh_ns, ceiling)
        return Energy(min(max(self._refreshes.joules_at(at_ns), lower), upper), lower, upper)

    def _least(self, at_ns: int, refresh_ns: int, ceiling: float) -> float:
        """Return the last value surely shown by then, or what the ceiling leaves of a later one."""
        ends, values = self._ends, self._values
        last = bisect_right(ends, at_ns) - 1
        if last < 0:
            return values[0] - ceiling * (ends[0] - at_ns) / 1e9
        least = values[last]
        if not self._series.channel.limit:
            return least
        for i in range(last + 1, len(ends)):
            ahead_ns = ends[i] - at_ns
            least = max(least, values[i] - ceiling * ahead_ns / 1e9)
            if ahead_ns > 2 * refresh_ns:
                break
        return least

    def _most(self, at_ns: int, refresh_ns: int, ceiling: float) -> float:
        """Return the first value surely of a later refresh, or what the ceiling adds to an earlier one."""
        starts, changes = self._starts, self._changes
        first = bisect_left(starts, at_ns)
        late = bisect_left(starts, at_ns + refresh_ns, lo=first)
        change = bisect_right(changes, first)
        later = min(late, changes[change] if change < len(changes) else late)
        most = self._values[later] if later < len(starts) else math.inf
        if self._series.channel.limit or math.isinf(most):
            most = min(most, self._most_since(min(first, len(starts) - 1), at_ns, refresh_ns, ceiling))
        return most + self._resolution

    def _most_since(self, read: int, at_ns: int, refresh_ns: int, ceiling: float) -> float:
        """Return what the counter can have reached since the refreshes that a read and the ones before it show."""
        most = math.inf
        newest = bisect_right(self._changes, read) - 1
        for change in range(newest, max(-1, newest - _FEWEST_CHANGES_BACK), -1):
            first = self._changes[change]
            since = self._starts[read] - refresh_ns
            if first > 0:
                since = max(since, self._starts[first - 1])
            most = min(most, self._values[read] + ceiling * max(0, at_ns - since) / 1e9)
            read = first - 1
        return most


def _seen_resolution(values: Sequence[float], changes: Sequence[int]) -> float:
    """Return the step that all rises are made of, a millijoule at least."""
    rises = (round((values[i] - values[i - 1]) * _MICRO) for i in changes)
    return max(ASSUMED_RESOLUTION_JOULES, math.gcd(*rises) / _MICRO)


def _not_counted(series: Series, start_ns: int, end_ns: int, refresh_ns: int) -> tuple[float, float, str]:
    """Return the seconds of the window that a counter did not count, as read and at most, and why.

    They reach from the read before each break to the one that showed it; what the first did not show yet is lost too.
    """
    lost = blind = 0
    why = ""
    stretches: dict[int, tuple[int, Reason]] = {}  # by the read before: breaks with none between them are one
    for at_ns, reason in series.rejections:
        if reason in _BREAKS:
            before = bisect_left(series.times_ns, at_ns) - 1
            stretches[series.times_ns[before] if before >= 0 else start_ns] = (at_ns, reason)
    for since, (at_ns, reason) in stretches.items():
        lost += max(0, min(end_ns, at_ns) - max(start_ns, since))
        unseen = max(0, min(end_ns, at_ns) - max(start_ns, since - refresh_ns))
        blind += unseen
        why = why or (_BREAKS[reason] if unseen else "")
    return lost / 1e9, blind / 1e9, why


def _doubtful_seconds(series: Series, start_ns: int, end_ns: int) -> float:
    """Return the seconds of the window in which a counter may have lost a little for good: it stepped back there.

    They reach from the read before to the one in which it had caught up, so that what it drew meanwhile hid the loss.
    """
    times, doubtful = series.times_ns, 0
    stretches = set()
    for at_ns, reason in series.rejections:
        if reason is Reason.BACKWARD:
            after = bisect_left(times, at_ns)
            stretches.add((times[after - 1] if after else start_ns, times[after] if after < len(times) else end_ns))
    for first, last in stretches:
        doubtful += max(0, min(end_ns, last) - max(start_ns, first))
    return doubtful / 1e9
