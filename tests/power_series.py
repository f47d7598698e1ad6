"""Series of counters and gauges, and their energy in a window."""

from __future__ import annotations

from agent.energy.window import window_energy
from simulated import SECOND, joules_channel
from store.records import Series


def at(*seconds):
    return tuple(round(second * SECOND) for second in seconds)


def counted(samples, channel=None, rejections=()):
    return Series(channel or joules_channel(0.1, 0.001), at(*samples), tuple(map(float, samples.values())), rejections)


def energy(series, start, end):
    return window_energy(series, *at(start, end)).energy
