"""The energy of a window by a gauge of watts: trapezoids, the ends interpolated; pure.

A gauge that averages shows the mean since one refresh period ago. Integrated over a window that is one period later at
both ends, its readings weigh what was drawn within a period of an edge by a ramp instead of a step; that can be off by
half the energy of a period at each edge, whatever the power did. Between reads the mean is taken to lie between them.

Any other gauge shows the power at its last refresh, at most one period ago, and power is taken to lie between the
values read one after another. So the power at a moment lies between the least and the greatest value from the last
read before it to the first one a refresh period after it. A spike between two reads is seen by no such gauge.

A gauge that is read less than twice an update is aliased: between two reads power is taken to lie between the least
and the greatest value of the whole window. One that looks a part of the time by its nature tells nothing of the rest,
however often it is read: its bound is what the device can draw at all.

Each reading is dated back by half a period: the middle of what it averages, or its mean age.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.profiling.joules import ASSUMED_REFRESH_SECONDS, Energy, Told, ceiling_watts, looks_in_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Series

    Points = list[tuple[int, float]]


def integrate(series: Series, start_ns: int, end_ns: int) -> Told:
    """Return the energy of a window that the samples bracket; the peak is the highest reading.

    Where the samples end less than a refresh period after the window, what they do not show is bounded by the
    channel's limit or, if it has none, four times the highest reading. Energy below 0 is taken for the noise of 0.
    """
    times, powers = series.times_ns, series.values
    back_ns = round(series.channel.refresh_seconds / 2 * 1e9)
    points = _clipped(times, powers, start_ns + back_ns, end_ns + back_ns)
    joules = sum((p0 + p1) / 2 * (t1 - t0) / 1e9 for (t0, p0), (t1, p1) in pairwise(points))
    seconds = (end_ns - start_ns) / 1e9
    if looks_in_part(series.channel):
        low, high = 0.0, max(joules, _ceiling_watts(series) * seconds)
    elif series.channel.aliased:
        least, most = _power_between(series, start_ns, end_ns)
        low, high = least * seconds, most * seconds
    elif series.channel.method == "average":
        low, high = _of_averages(series, end_ns, points)
    else:
        low, high = _of_moments(series, start_ns, end_ns)
    lower, upper = max(0.0, low), max(0.0, high)
    peak = max(powers[bisect_right(times, start_ns) - 1 : bisect_left(times, end_ns) + 1])
    return Told(Energy(min(max(joules, lower), upper), lower, upper), peak)


def _of_averages(series: Series, end_ns: int, points: Points) -> tuple[float, float]:
    """Bound by the means read, give or take half a period's energy at each edge, or a whole one where it is unknown."""
    times, powers, channel = series.times_ns, series.values, series.channel
    reach = channel.refresh_seconds / 2 or ASSUMED_REFRESH_SECONDS
    unseen = max(0, end_ns + round((channel.refresh_seconds or ASSUMED_REFRESH_SECONDS) * 1e9) - times[-1]) / 1e9
    edges = reach * sum(_highest_near(times, powers, at_ns) for at_ns in (points[0][0], points[-1][0]))
    lower = sum(min(p0, p1) * (t1 - t0) / 1e9 for (t0, p0), (t1, p1) in pairwise(points))
    upper = sum(max(p0, p1) * (t1 - t0) / 1e9 for (t0, p0), (t1, p1) in pairwise(points))
    return lower - edges - unseen * max(0.0, powers[-1]), upper + edges + unseen * _ceiling_watts(series)


def _of_moments(series: Series, start_ns: int, end_ns: int) -> tuple[float, float]:
    times = series.times_ns
    lower = upper = 0.0
    edges = [start_ns, *times[bisect_right(times, start_ns) : bisect_left(times, end_ns)], end_ns]
    for t0, t1 in pairwise(edges):
        least, most = _power_between(series, t0, t1)
        lower += least * (t1 - t0) / 1e9
        upper += most * (t1 - t0) / 1e9
    return lower, upper


def _power_between(series: Series, start_ns: int, end_ns: int) -> tuple[float, float]:
    """Return what power between two moments, with no read between them, was at least and at most."""
    times, powers = series.times_ns, series.values
    shown = bisect_left(times, end_ns + round((series.channel.refresh_seconds or ASSUMED_REFRESH_SECONDS) * 1e9))
    seen = powers[bisect_right(times, start_ns) - 1 : shown + 1]
    if shown < len(times):
        return min(seen), max(seen)
    return 0.0, _ceiling_watts(series)


def _ceiling_watts(series: Series) -> float:
    highest = max(0.0, *series.values)
    return max(ceiling_watts(series.channel, highest), highest)


def _highest_near(times: Sequence[int], powers: Sequence[float], at_ns: int) -> float:
    return max(0.0, *powers[bisect_right(times, at_ns) - 1 : bisect_left(times, at_ns) + 1])


def _clipped(times: Sequence[int], powers: Sequence[float], start_ns: int, end_ns: int) -> Points:
    inner = range(bisect_right(times, start_ns), bisect_left(times, end_ns))
    ends = ((at_ns, _power_at(times, powers, at_ns)) for at_ns in (start_ns, end_ns))
    return [next(ends), *((times[i], powers[i]) for i in inner), next(ends)]


def _power_at(times: Sequence[int], powers: Sequence[float], at_ns: int) -> float:
    after = bisect_left(times, at_ns)
    if after == len(times):
        return powers[-1]
    if times[after] == at_ns:
        return powers[after]
    t0, t1 = times[after - 1], times[after]
    return powers[after - 1] + (powers[after] - powers[after - 1]) * (at_ns - t0) / (t1 - t0)
