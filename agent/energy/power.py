"""The energy of a window by a gauge of watts: trapezoids, the ends interpolated; pure.

Each reading is dated back by half a period: the middle of its averaging time, or its mean age.

The bound assumes only that the power lies between 0 and the ceiling of the device. A reading of an averaging gauge
bounds the energy of its averaging time; `spans` adds these up. Any other gauge shows single moments and observes no
time, so its bound is the ceiling for the whole window. A reading of a model is the mean since the previous reading; its
channel states the uncertainty of the model.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy, WindowResult, ceiling_watts
from agent.energy.spans import least_joules, most_joules, spans_of
from probes.model import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Series

    Points = list[tuple[int, float]]

_MICRO = 1e6
ASSUMED_RESOLUTION_WATTS = 1.0
"""The assumed step of a gauge that states none and never changed."""
_FROZEN_SECONDS = 5.0
_FROZEN_UPDATES = 50
_FROZEN_STEPS = 1000
"""The limits above which a constant gauge is frozen: time, updates, and its value in steps."""


def integrate(series: Series, start_ns: int, end_ns: int) -> WindowResult:
    """Return the energy of a window that the samples bracket; the peak is the highest reading."""
    times, powers, channel = series.times_ns, series.values, series.channel
    back_ns = round(channel.refresh_seconds / 2 * 1e9)
    points = _clipped(times, powers, start_ns + back_ns, end_ns + back_ns)
    joules = sum((p0 + p1) / 2 * (t1 - t0) / 1e9 for (t0, p0), (t1, p1) in pairwise(points))
    peak = max(powers[bisect_right(times, start_ns) - 1 : bisect_left(times, end_ns) + 1])
    if channel.source is Source.ESTIMATED:
        return WindowResult(_within(joules, *_between_readings(series, start_ns, end_ns)), peak)
    ceiling, seconds = ceiling_watts(channel, max(powers)), (end_ns - start_ns) / 1e9
    resolution = _resolution(series)
    frozen = _frozen(series, resolution, start_ns, end_ns)
    spans = spans_of(series, resolution, ceiling, start_ns, frozen)
    lower, upper = least_joules(spans, seconds, ceiling), most_joules(spans, seconds, ceiling)
    if lower > upper:  # it does not average as it states: what it observes is not known
        lower, upper = 0.0, ceiling * seconds
    return WindowResult(_within(joules, lower, upper), peak, tuple(_words(series, read) for read in frozen[:1]))


def _within(joules: float, lower: float, upper: float) -> Energy:
    lower, upper = max(0.0, lower), max(0.0, upper)
    return Energy(min(max(joules, lower), upper), lower, upper)


def _between_readings(series: Series, start_ns: int, end_ns: int) -> tuple[float, float]:
    """Return bounds of the energy: the power at each moment lies between the readings around it."""
    times, powers = series.times_ns, series.values
    lower = upper = 0.0
    edges = [start_ns, *times[bisect_right(times, start_ns) : bisect_left(times, end_ns)], end_ns]
    for t0, t1 in pairwise(edges):
        near = powers[bisect_right(times, t0) - 1 : bisect_left(times, t1) + 2]
        lower += min(near) * (t1 - t0) / 1e9
        upper += max(near) * (t1 - t0) / 1e9
    return lower, upper


def _resolution(series: Series) -> float:
    """Return the step of a gauge in watts: the stated one, else the greatest common step of its changes."""
    changes = (round((after - before) * _MICRO) for before, after in pairwise(series.values))
    return series.channel.resolution or math.gcd(*changes) / _MICRO or ASSUMED_RESOLUTION_WATTS


def _frozen(series: Series, resolution: float, start_ns: int, end_ns: int) -> Sequence[range]:
    """Return the reads in which a frozen gauge repeats its value, by stretches that reach into the window.

    A power supply on standby shows 0 W, and a gauge of coarse steps can show one value for a long time.
    """
    times, powers, channel = series.times_ns, series.values, series.channel
    update = channel.observed_refresh_seconds or channel.refresh_seconds
    longest_ns = max(_FROZEN_SECONDS, _FROZEN_UPDATES * update) * 1e9
    starts = [0, *(i for i in range(1, len(powers)) if powers[i] != powers[i - 1]), len(powers)]
    return [
        range(first + 1, after)
        for first, after in pairwise(starts)
        if times[after - 1] - times[first] > longest_ns
        and powers[first] >= _FROZEN_STEPS * resolution
        and times[first] < end_ns
        and times[after - 1] > start_ns
    ]


def _words(series: Series, frozen: range) -> str:
    seconds = (series.times_ns[frozen[-1]] - series.times_ns[frozen[0] - 1]) / 1e9
    return f"the gauge showed {series.values[frozen[0]]:.6g} W for {seconds:.3g} s without a change: it may be frozen"


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
