"""Simulated sensors with known energy: power over time, and the readings of counters and gauges."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, cycle

from agent.energy.window import window_energy
from probes.counter import Counter
from probes.model import Channel, Device, Kind
from store.records import Series

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Power:
    """Power in watts, constant between steps; `steps` are (seconds, watts), the last lasts forever."""

    steps: tuple[tuple[float, float], ...]

    def __post_init__(self):
        times = tuple(accumulate((seconds for seconds, _ in self.steps[:-1]), initial=0.0))
        joules = tuple(accumulate((seconds * watts for seconds, watts in self.steps[:-1]), initial=0.0))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "joules_until", joules)

    def joules(self, until, since=0.0):
        return self._joules(until) - self._joules(since)

    def watts(self, at):
        return self.steps[max(0, bisect_right(self.times, at) - 1)][1]

    @property
    def highest(self):
        return max(watts for _, watts in self.steps)

    def _joules(self, until):
        step = max(0, bisect_right(self.times, until) - 1)
        return self.joules_until[step] + self.steps[step][1] * (until - self.times[step])


def constant(watts):
    return Power(((1.0, watts),))


def read_times(period, until, shifts=(0.0,)):
    """Moments from 0 on, one a period, each late by a share of the period; in order and apart."""
    moments, shift = [0.0], cycle(shifts)
    while moments[-1] < until:
        moments.append(max(len(moments) * period + next(shift) * period, moments[-1] + 1e-5))
    return tuple(moments)


def refreshes(period, until, shares=(1.0,)):
    """Moments of refresh, each at most a period after its predecessor, from before 0 to well after `until`."""
    moments, share = [-period / 3], cycle(shares)
    while moments[-1] < until + 2:
        moments.append(moments[-1] + period * next(share))
    return tuple(moments)


def last(moments, at):
    return moments[bisect_right(moments, at) - 1]


def joules_channel(refresh=0.0, resolution=0.0, **known):
    return Channel(
        Device("package-0", Kind.CPU),
        "package",
        "energy_joules",
        method="counter",
        refresh_seconds=refresh,
        resolution=resolution,
        **known,
    )


def watts_channel(refresh=0.0, method="instant", **known):
    return Channel(
        Device("package-0", Kind.CPU), "package", "power_watts", method=method, refresh_seconds=refresh, **known
    )


def counter(power, shown, read, step=0.0, channel=None, since=1000.0):
    """The readings at the moments `read` of a counter in steps of `step` joules, refreshed at the moments `shown`."""
    values = [since + power.joules(max(0.0, last(shown, at))) for at in read]
    if step:
        values = [math.floor(value / step) * step for value in values]
    channel = channel or joules_channel()
    return Series(channel, tuple(round(at * SECOND) for at in read), tuple(values))


def hardware_counter(power, shown, read, resets, channel, wraps_at_joules=0.0, since=1e6):
    """The same in microjoules through the unwrapping counter: it wraps, and starts from 0 at the moments `resets`."""
    unwrapped = Counter(round(wraps_at_joules * 1e6), channel.max_plausible * 1e6, channel.refresh_seconds)
    times, values, rejections = [], [], []
    for at in read:
        refreshed = max(0.0, last(shown, at))
        reset = max((moment for moment in resets if moment <= refreshed), default=None)
        joules = since + power.joules(refreshed) if reset is None else power.joules(refreshed, reset)
        raw = math.floor(joules * 1e6)
        register = raw % round(wraps_at_joules * 1e6) if wraps_at_joules else raw
        reason = unwrapped.advance(register, round(at * SECOND))
        if reason:
            rejections.append((round(at * SECOND), reason))
        else:
            times.append(round(at * SECOND))
            values.append(unwrapped.total / 1e6)
    return Series(channel, tuple(times), tuple(values), tuple(rejections))


def partial_gauge(power, shown, read, parts, channel, step=0.0):
    """The readings of a gauge that averages at each refresh over parts of the time before it, in steps of `step` watts.

    A part is (seconds before the refresh, its length); the power before 0 is that at 0.
    """

    def shows(refreshed):
        joules = sum(power.joules(refreshed - back + length, refreshed - back) for back, length in parts)
        watts = joules / sum(length for _, length in parts)
        return math.floor(watts / step) * step if step else watts

    return Series(channel, tuple(round(at * SECOND) for at in read), tuple(shows(last(shown, at)) for at in read))


def two_reads(series, start_ns, end_ns):
    """The energy by a plain meter: the difference of the last values read before both ends."""
    first, second = (series.values[bisect_right(series.times_ns, at) - 1] for at in (start_ns, end_ns))
    return second - first


def held(series, power, window):
    """Fail unless the truth is within the bound and the estimate too; return estimate and truth."""
    found = window_energy(series, *window)
    true = power.joules(window[1] / SECOND, window[0] / SECOND)
    energy = found.energy
    assert energy.lower <= energy.joules <= energy.upper
    assert energy.lower - 1e-6 <= true <= energy.upper + 1e-6
    assert energy.lower >= 0
    return found, true
