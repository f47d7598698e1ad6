"""How often a probe is read while a run or a measurement is on, and how often around the edges of its windows.

In the middle of a window a counter loses nothing between two reads, so it is read now and then; its energy at an edge
is as well known as the refreshes around the edge are, so there it is read many times a refresh. A gauge is read at
twice its own update rate or more, or it is said to be aliased.
"""

from __future__ import annotations

import math
from dataclasses import replace
from operator import truediv
from typing import TYPE_CHECKING

from agent.energy.bounds import ASSUMED_REFRESH_SECONDS, observes_in_part, slowest_refresh_seconds
from probes.model import ENERGY_METRICS, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from probes.model import Channel

PERIOD_GRID_SECONDS = (0.0005, *(step * 10.0**power for power in range(-3, 3) for step in (1, 2, 5)))
"""Every period is one of these, so that reads of several probes fall together; the first is for edges alone."""
FASTEST_SECONDS = 0.01
DEFAULT_PERIOD_SECONDS = 0.1
SLOWEST_SECONDS = 1.0
READS_PER_REFRESH = 5
SLOWEST_HIGH_RATE_SECONDS = 0.005
HIGH_RATE_READS_PER_REFRESH = 20
_NEARLY = 1 + 1e-9
CPU_SECONDS = 0.001
"""A read that takes longer waits for its device: it is taken to need no more processor time than this."""
TICK_SECONDS = 0.00003
"""The processor time that a tick takes beside its read."""
MAX_READ_SHARE = 0.02
MAX_HIGH_RATE_SHARE = 0.25
"""What share of the time reading may take at most, and for the moment around an edge."""


def update_seconds(channel: Channel) -> float:
    """Return how often a sensor shows a new value, in seconds: as observed or as stated, 0 if neither is known.

    The shorter counts: one that counts in coarse steps changes seldom while its device idles.
    """
    known = [seconds for seconds in (channel.observed_refresh_seconds, channel.refresh_seconds) if seconds]
    return min(known, default=0.0)


def run_period_seconds(channels: Iterable[Channel]) -> float:
    """Return the time between reads of a probe with these channels, in seconds.

    An energy counter is read five times a refresh and a power gauge twice, no faster than every 10 ms; the rest every
    100 ms, and what says nothing of power or load once a second. A probe whose reads are slow is read less often, so
    that reading takes 2 % of the time at most. The period is one of the ladder.
    """
    wanted, slow = SLOWEST_SECONDS, 0.0
    for channel in channels:
        slow = max(slow, channel.read_seconds / MAX_READ_SHARE)
        if channel.metric in ENERGY_METRICS and not channel.refresh_seconds:
            wanted = min(wanted, DEFAULT_PERIOD_SECONDS)  # it may only have stood still while it was watched
        if channel.metric == "energy_joules":
            wanted = min(
                wanted, max(FASTEST_SECONDS, update_seconds(channel) / READS_PER_REFRESH or DEFAULT_PERIOD_SECONDS)
            )
        elif channel.metric == "power_watts":
            wanted = min(wanted, max(FASTEST_SECONDS, update_seconds(channel) / 2 or DEFAULT_PERIOD_SECONDS))
        elif channel.metric == "utilization_ratio":
            wanted = min(wanted, DEFAULT_PERIOD_SECONDS)
    return min(max(period_at_most(wanted), period_at_least(slow)), SLOWEST_SECONDS)


def period_at_most(seconds: float) -> float:
    """Return the longest period of the ladder that is no longer than so many seconds, or the shortest there is."""
    return max(
        (period for period in PERIOD_GRID_SECONDS if period <= seconds * _NEARLY), default=PERIOD_GRID_SECONDS[0]
    )


def period_at_least(seconds: float) -> float:
    """Return the shortest period of the ladder that is no shorter than so many seconds, or the longest there is."""
    return min(
        (period for period in PERIOD_GRID_SECONDS if period * _NEARLY >= seconds), default=PERIOD_GRID_SECONDS[-1]
    )


def periods_within(probes: Sequence[Sequence[Channel]], cpu_budget: float) -> tuple[tuple[float, float], ...]:
    """Return the base period of each probe and its period at the high rate, in seconds, 0 if it has none.

    If reads at the base periods would take more than `cpu_budget` of one processor (0: no limit), the shortest periods
    are made longer, those of gauges first: between two edges a counter loses nothing.
    """
    periods = [run_period_seconds(channels) for channels in probes]
    costs = [
        min(max((channel.read_seconds for channel in each), default=0.0), CPU_SECONDS) + TICK_SECONDS for each in probes
    ]
    gauges = [all(channel.metric != "energy_joules" for channel in each) for each in probes]
    while cpu_budget and sum(map(truediv, costs, periods)) > cpu_budget:
        open_ = [number for number, period in enumerate(periods) if period < SLOWEST_SECONDS]
        if not open_:
            break
        first = [number for number in open_ if gauges[number]] or open_
        shortest = min(periods[number] for number in first)
        for number in first:
            if periods[number] == shortest:
                periods[number] = period_at_least(shortest * _NEARLY**2)
    return tuple((base, high_rate_period_seconds(channels)) for base, channels in zip(periods, probes, strict=True))


def high_rate_period_seconds(channels: Iterable[Channel]) -> float:
    """Return the time between reads around an edge of a window, in seconds; 0 where no counter wants it.

    A counter is read twenty times a refresh, from every 0.5 ms to every 5 ms, with reading a quarter of the time at
    most. The period is one of the ladder.
    """
    wanted = [
        max(
            period_at_most(
                min(
                    update_seconds(channel) / HIGH_RATE_READS_PER_REFRESH or SLOWEST_HIGH_RATE_SECONDS,
                    SLOWEST_HIGH_RATE_SECONDS,
                )
            ),
            period_at_least(channel.read_seconds / MAX_HIGH_RATE_SHARE),
        )
        for channel in channels
        if channel.metric == "energy_joules"
    ]
    return min(wanted, default=0.0)


def is_aliased(channel: Channel, period_seconds: float) -> bool:
    """Tell whether a gauge of power, read once in so many seconds, leaves time that it says nothing of.

    One that averages says all of it if it is read once an averaging time, any other if it is read twice an update.
    """
    if channel.metric != "power_watts" or channel.aliased:
        return channel.aliased
    if channel.method == "average" and channel.refresh_seconds:
        return period_seconds > channel.refresh_seconds
    update = update_seconds(channel)
    return bool(update) and period_seconds > update / 2


def mark_aliased(channels: Iterable[Channel], period_seconds: float) -> tuple[Channel, ...]:
    """Return channels of a probe that is read once in so many seconds, those that are aliased then marked so."""
    return tuple(replace(channel, aliased=is_aliased(channel, period_seconds)) for channel in channels)


def needed_seconds(channel: Channel, tolerance: float) -> float:
    """Return how long a window must be, in seconds, for a sensor to tell its energy to a share `tolerance` either way.

    At each edge a counter leaves open what is drawn in one update and one dense read, an average what is drawn in half
    of its time; an average also leaves open when it was refreshed, to a read. It is infinite where no window is long
    enough: a model is off by what it says, and time that a gauge does not observe is bounded by what can be drawn at
    all.
    """
    left = tolerance - channel.uncertainty
    if left > 0 and channel.metric == "energy_joules":
        return ((update_seconds(channel) or ASSUMED_REFRESH_SECONDS) + high_rate_period_seconds([channel])) / left
    if left > 0 and channel.source is Source.ESTIMATED:
        return (update_seconds(channel) or ASSUMED_REFRESH_SECONDS) / left
    if observes_in_part(channel):
        return math.inf
    left -= run_period_seconds([channel]) / channel.refresh_seconds
    return channel.refresh_seconds / left if left > 0 else math.inf


def trailing_seconds(channels: Iterable[Channel], period_seconds: float) -> float:
    """Return how long to go on reading after a window so that every sensor of energy has shown what belongs to it.

    It is one refresh period, or what is assumed where none is stated, and two beats for the read that shows it.
    """
    refresh = (
        slowest_refresh_seconds(channel) or ASSUMED_REFRESH_SECONDS
        for channel in channels
        if channel.metric in ENERGY_METRICS
    )
    return max(refresh, default=0.0) + 2 * period_seconds + 0.02
