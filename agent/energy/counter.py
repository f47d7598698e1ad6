"""The energy of a window by a counter of joules; pure.

A counter shows the energy at its last refresh, which was at most one refresh period ago. So the true energy at an edge
of a window lies between the last value read before it and the first value that certainly comes from a later refresh:
one that differs from a value read after the edge. Between a refresh and the edge, the ceiling of the power limits the
energy on both sides. The estimate places each refresh in the middle of the interval in which it must have happened, and
interpolates.

A counter is silent while it shows one value for longer than a refresh period, unless its steps are coarse enough to
explain that. A rise of several steps at once disproves it: coarse steps come one by one. The device of a silent counter
may draw nothing, or the counter may be frozen; only a later value distinguishes the two. Without one, the bound reaches
from 0 to the ceiling for the silent time.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from operator import add, sub
from typing import TYPE_CHECKING, NamedTuple

from agent.energy.bounds import (
    ASSUMED_REFRESH_SECONDS,
    ASSUMED_RESOLUTION_JOULES,
    Energy,
    WindowResult,
    ceiling_watts,
    slowest_refresh_seconds,
)
from agent.energy.interpolation import Refreshes
from probes.model import Reason, Source
from probes.plausibility import max_watts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from store.records import Series

_MICRO = 1e6
_CHANGES_BACK = 3
_COARSE_STEP_FACTOR = 2
"""A counter that mostly rises by single steps may take this many times its longest time for one."""
_MULTI_STEP_FACTOR = 1.5
"""From this many resolutions on, a rise is more than a single step."""
_UNLIMITED_NS = 1 << 62
_SILENT_REFRESHES = 10
"""From this many refresh periods on, silence is a reason for doubt if the energy of that time is unknown."""
_BREAKS = {
    Reason.RESET: "the counter was reset",
    Reason.WRAP_UNKNOWN: "the counter may have wrapped more than once between two reads",
}
"""The breaks that separate two stretches of counting."""


_CONTRADICTION = (
    "the counter rose by more than the device's ceiling allows: the counter was frozen before, or the device exceeded"
    " the ceiling; the energy is not known"
)


class _NearbyLimits(NamedTuple):
    """A counter near a window: its refresh period, the longest time for one value, and the ceiling in watts."""

    refresh_ns: int
    coarse_ns: int
    ceiling: float


class CounterEnergy:
    """The energy of any window of one counter.

    The refreshes of the whole series are found once; each window then needs two edges and the peak between them.
    """

    def __init__(self, series: Series) -> None:
        times, values, halves = series.times_ns, series.values, series.halves_ns
        self._series, self._times, self._values = series, times, values
        self._starts = array("q", map(sub, times, halves)) if halves else times
        self._ends = array("q", map(add, times, halves)) if halves else times
        changes = [i for i, (before, value) in enumerate(pairwise(values), 1) if value != before]
        self._changes = array("q", [0, *changes])  # the first read of every value
        self._resolution = series.channel.resolution or _seen_resolution(values, changes)
        self._distances = array("q", (times[b] - times[a - 1] for a, b in pairwise(changes)))
        step = _MULTI_STEP_FACTOR * self._resolution
        self._single_steps = array(
            "q",
            (
                max(1, times[b - 1] - times[a])
                if values[b] - values[b - 1] < step
                else 0  # a pause in reads adds nothing
                for a, b in pairwise(changes)
            ),
        )
        self._refreshes = Refreshes(series, changes, self._resolution)

    def between(self, start_ns: int, end_ns: int, first: int, last: int) -> WindowResult:
        """Return the energy of a window that the samples bracket; the reads from `first` to `last` surround it.

        The peak is the highest mean power over a part of the window that is long enough to measure it to 10 %. The
        bound holds if the power was within the ceiling.
        """
        seen = self._refreshes
        ceiling = ceiling_watts(self._series.channel, seen.steepest_watts(first, last))
        near = _NearbyLimits(*self._refresh_limits(first, last), ceiling)
        start, end = (self._energy_at(at_ns, near) for at_ns in (start_ns, end_ns))
        seconds = (end_ns - start_ns) / 1e9
        lower, upper, contradictions = self._bound(start, end, seconds, ceiling)
        joules = min(max(lower, end.joules - start.joules), upper)
        peak = seen.peak_watts(start_ns - near.refresh_ns, end_ns + near.refresh_ns)
        upper += ceiling * _doubtful_seconds(self._series, start_ns, end_ns)
        reasons = self._silent_edges(((start_ns, start), (end_ns, end)), near) if joules else ()  # 0 J needs no reason
        reasons = (*contradictions, *reasons)
        lost_seconds, blind_seconds, reason = self._uncounted(start_ns, end_ns, near)
        if not blind_seconds:
            return WindowResult(Energy(joules, lower, upper), peak, reasons)
        filled = joules / (seconds - lost_seconds) * lost_seconds if seconds > lost_seconds else 0.0
        reason = f"{reason}: {lost_seconds:.3g} s were not counted and are filled in with the mean power"
        upper = max(upper + ceiling * blind_seconds, joules + filled)
        return WindowResult(Energy(joules + filled, lower, upper), peak, (reason, *reasons))

    def _bound(
        self, start: Energy, end: Energy, seconds: float, ceiling: float
    ) -> tuple[float, float, tuple[str, ...]]:
        """Return the bound of the energy between two edges.

        If the samples contradict the ceiling, the bound is the whole plausible range of the device, with a reason.
        """
        lower = max(0.0, end.lower - start.upper)
        upper = min(end.upper - start.lower, ceiling * seconds + self._resolution)
        if lower <= upper and start.lower <= start.upper and end.lower <= end.upper:
            return lower, upper, ()
        plausible = max(ceiling, max_watts(self._series.channel)) * seconds + self._resolution
        return 0.0, max(lower, plausible), (_CONTRADICTION,)

    def _refresh_limits(self, first: int, last: int) -> tuple[int, int]:
        """Return the refresh period and the longest time for one value, near a window, in nanoseconds.

        The refresh period is the stated one, else the longest time between changes seen, a second at least. A model
        may show one value forever.
        """
        # The first of the changes is the first read, and a distance is between two that follow it.
        since, until = bisect_right(self._changes, first), bisect_left(self._changes, last)
        near = slice(max(0, since - 1), max(0, until - 2))
        channel, steps = self._series.channel, self._single_steps[near]
        coarse = _COARSE_STEP_FACTOR * max(steps, default=0) if 2 * steps.count(0) < len(steps) else 0
        if channel.source is Source.ESTIMATED:
            coarse = _UNLIMITED_NS
        if channel.refresh_seconds:
            return round(slowest_refresh_seconds(channel) * 1e9), coarse
        return max(round(ASSUMED_REFRESH_SECONDS * 1e9), max(self._distances[near], default=0)), coarse

    def _energy_at(self, at_ns: int, near: _NearbyLimits) -> Energy:
        """Return the energy that a refresh at `at_ns` would have shown, with its bounds."""
        lower, upper = self._lower_bound(at_ns, near), self._upper_bound(at_ns, near)
        joules = self._refreshes.joules_at(at_ns, near.refresh_ns)
        return Energy(min(max(joules, lower), upper), lower, upper)

    def _lower_bound(self, at_ns: int, near: _NearbyLimits) -> float:
        """Return the last value that was certainly shown by then, or a later one less the energy at the ceiling."""
        ends, values = self._ends, self._values
        last = bisect_right(ends, at_ns) - 1
        if last < 0:
            return values[0] - near.ceiling * (ends[0] - at_ns) / 1e9
        least = values[last]
        for i in range(last + 1, len(ends)):
            ahead_ns = ends[i] - at_ns
            least = max(least, values[i] - near.ceiling * ahead_ns / 1e9)
            if ahead_ns > 2 * near.refresh_ns:
                break
        return least

    def _upper_bound(self, at_ns: int, near: _NearbyLimits) -> float:
        """Return the first value of a certainly later refresh, or an earlier one plus the energy at the ceiling."""
        starts, values = self._starts, self._values
        first = bisect_left(starts, at_ns)
        most = math.inf
        if first < len(starts):
            value = bisect_right(self._changes, first) - 1  # the number of the value that this read shows
            late = bisect_left(starts, at_ns + near.refresh_ns, lo=first)
            if late <= self._last_read(value) and not self._is_silent(value, near):
                most = values[late]
            elif value + 1 < len(self._changes):
                most = values[self._changes[value + 1]]
        return min(most, self._upper_bound_since(min(first, len(starts) - 1), at_ns, near)) + self._resolution

    def _upper_bound_since(self, read: int, at_ns: int, near: _NearbyLimits) -> float:
        """Return the highest energy that the counter can have reached since the refreshes up to a read."""
        starts, most = self._starts, math.inf
        newest = bisect_right(self._changes, read) - 1
        for value in range(newest, max(-1, newest - _CHANGES_BACK), -1):
            first = self._changes[value]
            since = -math.inf if self._is_silent(value, near) else starts[read] - near.refresh_ns
            if first > 0:
                since = max(since, starts[first - 1])
            most = min(most, self._values[read] + near.ceiling * max(0, at_ns - since) / 1e9)
            read = first - 1
        return most

    def _last_read(self, value: int) -> int:
        """Return the last read that shows a value, by the number of the value."""
        return (self._changes[value + 1] if value + 1 < len(self._changes) else len(self._values)) - 1

    def _unchanged_ns(self, value: int) -> int:
        return self._starts[self._last_read(value)] - self._ends[self._changes[value]]

    def _is_silent(self, value: int, near: _NearbyLimits) -> bool:
        """Return whether the counter showed a value for longer than a working counter does."""
        return self._unchanged_ns(value) > max(near.refresh_ns, self._coarse_ns(value, near))

    def _coarse_ns(self, value: int, near: _NearbyLimits) -> int:
        """Return the time that coarse steps explain for one value: 0 if the counter then rose by several steps at once.

        A model does not freeze, and can rise by several steps at once.
        """
        if near.coarse_ns == _UNLIMITED_NS or value + 1 >= len(self._changes):
            return near.coarse_ns
        rise = self._values[self._changes[value + 1]] - self._values[self._changes[value]]
        return near.coarse_ns if rise < _MULTI_STEP_FACTOR * self._resolution else 0

    def _silent_edges(self, edges: Iterable[tuple[int, Energy]], near: _NearbyLimits) -> tuple[str, ...]:
        """Return a reason for each edge at which the counter was silent and can hide more energy than usual."""
        usual = 2 * (near.ceiling * near.refresh_ns / 1e9 + self._resolution)
        found: dict[int, str] = {}
        for (at_ns, energy), edge in zip(edges, ("start", "end"), strict=True):
            value = bisect_right(self._changes, bisect_left(self._starts, at_ns)) - 1
            silent_ns = self._unchanged_ns(value)
            if silent_ns <= max(_SILENT_REFRESHES * near.refresh_ns, self._coarse_ns(value, near)):
                continue
            if energy.upper - energy.lower > usual:
                seconds = f"the counter did not move for {silent_ns / 1e9:.3g} s"
                found[value] = f"{seconds} {'about' if value in found else f'at the {edge} of'} the window"
        return tuple(f"{words}: the energy of that time is not known" for words in found.values())

    def _uncounted(self, start_ns: int, end_ns: int, near: _NearbyLimits) -> tuple[float, float, str]:
        """Return the seconds of the window that the counter did not count, as read and at most, and the reason.

        They start at the last evidence of counting before each break (the read before it, or the last change if the
        counter was silent) and end at the read that showed the break. Energy that the first read did not show yet is
        lost as well.
        """
        lost = blind = 0
        why = ""
        gaps: dict[int, tuple[int, Reason]] = {}  # by the read before: breaks without a read between them are one
        for at_ns, reason in self._series.rejections:
            if reason in _BREAKS:
                before = bisect_left(self._times, at_ns) - 1
                gaps[self._last_change_ns(before, near) if before >= 0 else start_ns] = (at_ns, reason)
        for since, (at_ns, reason) in gaps.items():
            lost += max(0, min(end_ns, at_ns) - max(start_ns, since))
            unseen = max(0, min(end_ns, at_ns) - max(start_ns, since - near.refresh_ns))
            blind += unseen
            why = why or (_BREAKS[reason] if unseen else "")
        return lost / 1e9, blind / 1e9, why

    def _last_change_ns(self, read: int, near: _NearbyLimits) -> int:
        """Return the time of a read, or of the first read of its value if the counter was silent since."""
        value = bisect_right(self._changes, read) - 1
        first = self._changes[value]
        is_silent = self._starts[read] - self._ends[first] > max(near.refresh_ns, self._coarse_ns(value, near))
        return self._times[first if is_silent else read]


def _seen_resolution(values: Sequence[float], changes: Sequence[int]) -> float:
    """Return the greatest common step of all rises, at least a millijoule."""
    rises = (round((values[i] - values[i - 1]) * _MICRO) for i in changes)
    return max(ASSUMED_RESOLUTION_JOULES, math.gcd(*rises) / _MICRO)


def _doubtful_seconds(series: Series, start_ns: int, end_ns: int) -> float:
    """Return the seconds of the window in which a counter may have lost a little permanently: it stepped back there.

    They reach from the read before the step to the read in which it had caught up, as the energy of that time hid the
    loss.
    """
    times, doubtful = series.times_ns, 0
    gaps = set()
    for at_ns, reason in series.rejections:
        if reason is Reason.BACKWARD:
            after = bisect_left(times, at_ns)
            gaps.add((times[after - 1] if after else start_ns, times[after] if after < len(times) else end_ns))
    for first, last in gaps:
        doubtful += max(0, min(end_ns, last) - max(start_ns, first))
    return doubtful / 1e9
