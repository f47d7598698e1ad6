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
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from agent.profiling.joules import (
    ASSUMED_REFRESH_SECONDS,
    ASSUMED_RESOLUTION_JOULES,
    Energy,
    Told,
    ceiling_watts,
    slowest_refresh_seconds,
)
from probes.model import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from store.records import Series

_TELLING = 10
"""The power of a stretch is told to a tenth where time and rise are so many times the doubt about them."""
_MICRO = 1e6
_BREAKS = {
    Reason.RESET: "the counter was reset",
    Reason.WRAP_UNKNOWN: "the counter may have wrapped more than once between two reads",
}
"""What ends one stretch of counting and begins another."""


class _Knot(NamedTuple):
    """A refresh of a counter: when it was, give or take `slack_ns`, and what it showed."""

    time_ns: float
    joules: float
    slack_ns: float


def count(series: Series, start_ns: int, end_ns: int) -> Told:
    """Return the energy of a window that the samples bracket.

    The peak is the highest mean power over a stretch of the window long enough to tell it to a tenth. Where the
    samples end less than a refresh period after the window, the bound holds if the power was within the channel's
    limit or, if it has none, four times the steepest rise seen.
    """
    counter = _Counter.of(series)
    start, end = (counter.energy_at(at_ns) for at_ns in (start_ns, end_ns))
    lower = max(0.0, end.lower - start.upper)
    upper = end.upper - start.lower
    joules = min(max(lower, end.joules - start.joules), upper)
    reach = counter.refresh_ns
    peak = _peak_watts(counter.knots, counter.resolution, start_ns - reach, end_ns + reach)
    upper += counter.ceiling * _doubtful_seconds(series, start_ns, end_ns)
    lost_seconds, blind_seconds, reason = _not_counted(series, start_ns, end_ns, reach)
    if not blind_seconds:
        return Told(Energy(joules, lower, upper), peak)
    counted_seconds = (end_ns - start_ns) / 1e9 - lost_seconds
    filled = joules / counted_seconds * lost_seconds if counted_seconds > 0 else 0.0
    reason = f"{reason}: {lost_seconds:.3g} s were not counted and are filled in with the mean power"
    upper = max(upper + counter.ceiling * blind_seconds, joules + filled)
    return Told(Energy(joules + filled, lower, upper), peak, (reason,))


@dataclass(frozen=True, slots=True)
class _Counter:
    """A series with what was made out of it: when each read began and ended, and every refresh seen."""

    values: Sequence[float]
    starts: Sequence[int]
    ends: Sequence[int]
    refresh_ns: int
    resolution: float
    knots: Sequence[_Knot]
    ceiling: float
    is_limited: bool

    @classmethod
    def of(cls, series: Series) -> _Counter:
        times, halves = series.times_ns, series.halves_ns
        knots, resolution = _knots(series), _resolution(series)
        return cls(
            series.values,
            [at - half for at, half in zip(times, halves, strict=True)] if halves else times,
            [at + half for at, half in zip(times, halves, strict=True)] if halves else times,
            _refresh_ns(series),
            resolution,
            knots,
            ceiling_watts(series.channel.limit, _steepest_watts(knots, resolution)),
            bool(series.channel.limit),
        )

    def energy_at(self, at_ns: int) -> Energy:
        """Return what the counter would have shown at `at_ns` had it refreshed just then, with its bounds."""
        lower, upper = self._least(at_ns), self._most(at_ns)
        return Energy(min(max(_interpolated(self.knots, at_ns), lower), upper), lower, upper)

    def _least(self, at_ns: int) -> float:
        """Return the last value surely shown by then, or what the ceiling leaves of a later one."""
        last = bisect_right(self.ends, at_ns) - 1
        if last < 0:
            return self.values[0] - self.ceiling * (self.ends[0] - at_ns) / 1e9
        least = self.values[last]
        if not self.is_limited:
            return least
        for i in range(last + 1, len(self.ends)):
            ahead_ns = self.ends[i] - at_ns
            least = max(least, self.values[i] - self.ceiling * ahead_ns / 1e9)
            if ahead_ns > 2 * self.refresh_ns:
                break
        return least

    def _most(self, at_ns: int) -> float:
        """Return the first value surely of a later refresh, or what the ceiling adds to an earlier one."""
        first = bisect_left(self.starts, at_ns)
        most = math.inf
        for i in range(first, len(self.starts)):
            if self.starts[i] >= at_ns + self.refresh_ns or (i > first and self.values[i] != self.values[i - 1]):
                most = self.values[i]
                break
        if self.is_limited or math.isinf(most):
            most = min(most, self._most_since(min(first, len(self.starts) - 1), at_ns))
        return most + self.resolution

    def _most_since(self, read: int, at_ns: int) -> float:
        """Return what the counter can have reached since the refreshes that a read and the ones before it show."""
        most = math.inf
        for _ in range(3):
            value, first = self.values[read], read
            while first > 0 and self.values[first - 1] == value:
                first -= 1
            since = self.starts[read] - self.refresh_ns
            if first > 0:
                since = max(since, self.starts[first - 1])
            most = min(most, value + self.ceiling * max(0, at_ns - since) / 1e9)
            if first == 0:
                break
            read = first - 1
        return most


def _refresh_ns(series: Series) -> int:
    """Return the refresh period: the stated one, else the longest time between changes seen, a second at least."""
    if series.channel.refresh_seconds:
        return round(slowest_refresh_seconds(series.channel) * 1e9)
    times, values = series.times_ns, series.values
    changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
    seen = (times[after] - times[before - 1] for before, after in pairwise(changes))
    return max(round(ASSUMED_REFRESH_SECONDS * 1e9), max(seen, default=0))


def _resolution(series: Series) -> float:
    """Return the resolution: the stated one, else the step that all rises are made of, a millijoule at least."""
    rises = (round((after - before) * _MICRO) for before, after in pairwise(series.values))
    return series.channel.resolution or max(ASSUMED_RESOLUTION_JOULES, math.gcd(*rises) / _MICRO)


def _knots(series: Series) -> list[_Knot]:
    """Return every refresh seen.

    Where a value stood for longer than a refresh period and then rose by more than its resolution, there was a
    refresh in between that changed nothing: what was drawn was drawn after it.
    """
    times, values, channel = series.times_ns, series.values, series.channel
    period = slowest_refresh_seconds(channel) * 1e9
    slack = min(period, times[1] - times[0]) / 2
    knots = [_Knot(times[0] - slack, values[0], slack)]
    for i in range(1, len(times)):
        if values[i] == values[i - 1]:
            continue
        distance = times[i] - times[i - 1]
        slack = min(period or distance, distance) / 2
        idle_ns = min(times[i] - slack - period, times[i - 1] - period / 2)
        if period and idle_ns > knots[-1].time_ns and values[i] - values[i - 1] > channel.resolution:
            knots.append(_Knot(idle_ns, values[i - 1], slack))
        knots.append(_Knot(times[i] - slack, values[i], slack))
    return knots


def _interpolated(knots: Sequence[_Knot], at_ns: float) -> float:
    """Interpolate between refreshes; before the first and after the last, power goes on as it was next to it."""
    if len(knots) == 1:
        return knots[0].joules
    after = min(max(1, bisect_right(knots, at_ns, key=_time)), len(knots) - 1)
    first, second = knots[after - 1], knots[after]
    return first.joules + _slope(first, second) * (at_ns - first.time_ns) / 1e9


def _time(knot: _Knot) -> float:
    return knot.time_ns


def _slope(first: _Knot, second: _Knot) -> float:
    return (second.joules - first.joules) / (second.time_ns - first.time_ns) * 1e9


def _steepest_watts(knots: Sequence[_Knot], resolution: float) -> float:
    """Return the highest power that is told to a tenth, else the steepest rise between two refreshes."""
    told = _peak_watts(knots, resolution, -math.inf, math.inf)
    return max((_slope(first, second) for first, second in pairwise(knots)), default=0.0) if told is None else told


def _peak_watts(knots: Sequence[_Knot], resolution: float, start_ns: float, end_ns: float) -> float | None:
    inside = [knot for knot in knots if start_ns <= knot.time_ns <= end_ns]
    return max((_slope(first, second) for first, second in _telling(inside, resolution)), default=None)


def _telling(knots: Sequence[_Knot], resolution: float) -> Iterator[tuple[_Knot, _Knot]]:
    """Pair each refresh with the first one after it that tells the power between them."""
    last = 0
    for i, first in enumerate(knots):
        last = max(last, i + 1)
        while last < len(knots) and not _tells(first, knots[last], resolution):
            last += 1
        if last < len(knots):
            yield first, knots[last]


def _tells(first: _Knot, second: _Knot, resolution: float) -> bool:
    long = second.time_ns - first.time_ns >= _TELLING * (first.slack_ns + second.slack_ns)
    return long and second.joules - first.joules >= _TELLING * resolution


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
