"""Finds the refreshes of a counter in its samples, interpolates its energy between them, and gives the power; pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.bounds import slowest_refresh_seconds
from probes.plausibility import max_watts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Series

_RESOLVABLE_RATIO = 10
"""Two refreshes measure the power between them to 10 % if time and rise are this many times their uncertainty."""


class Refreshes:
    """Every refresh of a series: its time, plus or minus a slack, and its value.

    If a value lasted for longer than a refresh period and then rose by more than the resolution, there was a refresh in
    between without a change: all energy was drawn after it. If the rise exceeds the maximum energy since then, the
    counter was frozen, and the rise belongs to the whole time.
    """

    def __init__(self, series: Series, changes: Sequence[int], resolution: float) -> None:
        self._times, self._joules, self._slacks = array("d"), array("d"), array("d")
        self._reads = array("q")  # the read that shows each refresh
        self._find(series, changes)
        self._partners, self._slopes = array("q"), array("d")
        self._pair(resolution)

    def joules_at(self, at_ns: float, refresh_ns: int) -> float:
        """Interpolate between refreshes; extrapolate by one refresh period before the first and after the last."""
        times = self._times
        if len(times) == 1:
            return self._joules[0]
        at_ns = min(max(at_ns, times[0] - refresh_ns), times[-1] + refresh_ns)
        after = min(max(1, bisect_right(times, at_ns)), len(times) - 1)
        return self._joules[after - 1] + self._slope(after - 1, after) * (at_ns - times[after - 1]) / 1e9

    def peak_watts(self, start_ns: float, end_ns: float) -> float | None:
        """Return the highest power between two times that is known to 10 %, None if none is."""
        return self._peak(bisect_left(self._times, start_ns), bisect_right(self._times, end_ns))

    def steepest_watts(self, first: int, last: int) -> float:
        """Return the highest power in a range of reads that is known to 10 %, else the steepest rise."""
        since, until = bisect_right(self._reads, first) - 1, bisect_left(self._reads, last)
        peak = self._peak(since, until)
        if peak is not None:
            return peak
        return max((self._slope(*pair) for pair in pairwise(range(since, until))), default=0.0)

    def _peak(self, first: int, last: int) -> float | None:
        return max(self._slopes[first : bisect_left(self._partners, last)], default=None)

    def _find(self, series: Series, changes: Sequence[int]) -> None:
        times, values, channel = series.times_ns, series.values, series.channel
        period, watts = slowest_refresh_seconds(channel) * 1e9, max_watts(channel)
        slack = min(period, times[1] - times[0]) / 2
        latest_ns = times[0] - slack
        self._add(latest_ns, values[0], slack, 0)
        for i in changes:
            at_ns, before_ns = times[i], times[i - 1]
            distance = at_ns - before_ns
            slack = (period if 0 < period < distance else distance) / 2
            idle_ns = min(at_ns - slack - period, before_ns - period / 2)
            if period and idle_ns > latest_ns:
                most = watts * (at_ns - idle_ns) / 1e9
                if channel.resolution < values[i] - values[i - 1] <= most:
                    self._add(idle_ns, values[i - 1], slack, i)
            latest_ns = at_ns - slack
            self._add(latest_ns, values[i], slack, i)

    def _add(self, time_ns: float, joules: float, slack_ns: float, read: int) -> None:
        self._times.append(time_ns)
        self._joules.append(joules)
        self._slacks.append(slack_ns)
        self._reads.append(read)

    def _slope(self, first: int, second: int) -> float:
        return (self._joules[second] - self._joules[first]) / (self._times[second] - self._times[first]) * 1e9

    def _pair(self, resolution: float) -> None:
        """Pair each refresh with the first later one that measures the power between them to 10 %."""
        times, joules, slacks = self._times, self._joules, self._slacks
        least_joules = _RESOLVABLE_RATIO * resolution
        first, last, count = 0, 1, len(times)
        while last < count:
            long_ns, rise = times[last] - times[first], joules[last] - joules[first]
            if rise >= least_joules and long_ns >= _RESOLVABLE_RATIO * (slacks[first] + slacks[last]):
                self._partners.append(last)
                self._slopes.append(rise / long_ns * 1e9)
                first += 1
                last = max(last, first + 1)
            else:
                last += 1
