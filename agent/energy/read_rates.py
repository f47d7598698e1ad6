"""The read rates of probes during a run or a measurement, and the higher rates around the edges of its windows.

In the middle of a window a counter loses nothing between two reads, so it is read rarely. Its energy at an edge is as
accurate as the times of the refreshes around it, so there it is read many times a refresh. A gauge is read at least at
twice its own update rate, or it is marked as aliased.
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
"""The possible periods, so that reads of several probes coincide; the first is for edges only."""
FASTEST_SECONDS = 0.01
DEFAULT_PERIOD_SECONDS = 0.1
ESTIMATE_SECONDS = 0.05
"""The period of an estimate: it loses nothing between two reads, and its error is larger than that of an edge."""
SLOWEST_SECONDS = 1.0
READS_PER_REFRESH = 5
SLOWEST_HIGH_RATE_SECONDS = 0.005
HIGH_RATE_READS_PER_REFRESH = 20
_NEARLY = 1 + 1e-9
CPU_SECONDS = 0.001
"""The assumed maximum of CPU time for one read whose CPU time is unknown; a longer read waits for its device."""
BASE_SHARE = 0.5
"""The share of the CPU budget for reads at the base rate."""
TICK_SECONDS = 0.00003
"""The CPU time of a tick without its read."""
MAX_READ_SHARE = 0.02
MAX_HIGH_RATE_SHARE = 0.25
"""The maximum share of time spent on reads at the base rate, and at the high rate around an edge."""
EDGE_CPU_SECONDS = 0.018
"""The maximum CPU time of a probe's reads around one edge.

The shortest windows of a profile have an edge every 0.75 s, and half of the default CPU budget is for edges.
"""
_EDGE_REFRESHES, _EDGE_SECONDS = 2.5, 0.05
"""The time at the high rate around an edge: a wait for a refresh before it, and for a later one after it."""


def update_seconds(channel: Channel) -> float:
    """Return the update period of a sensor in seconds: the shorter of observed and stated, 0 if neither is known.

    A counter of coarse steps changes rarely while its device idles, so its observed period can be too long.
    """
    known = [seconds for seconds in (channel.observed_refresh_seconds, channel.refresh_seconds) if seconds]
    return min(known, default=0.0)


def run_period_seconds(channels: Iterable[Channel]) -> float:
    """Return the time between reads of a probe with these channels, in seconds.

    An energy counter is read five times a refresh and a power gauge twice, but not faster than every 10 ms; an estimate
    every 50 ms, utilization every 100 ms, or once a refresh if that is longer, everything else once a second. A probe
    of slow reads is read less often, so that reads take at most 2 % of the time. The period is one of the grid.
    """
    wanted, slow = SLOWEST_SECONDS, 0.0
    for channel in channels:
        slow = max(slow, channel.read_seconds / MAX_READ_SHARE)
        if channel.metric in ENERGY_METRICS and not channel.refresh_seconds:
            wanted = min(wanted, DEFAULT_PERIOD_SECONDS)  # it may have been idle during calibration
        if channel.metric in ENERGY_METRICS and channel.source is Source.ESTIMATED:
            wanted = min(wanted, max(ESTIMATE_SECONDS, update_seconds(channel)))
        elif channel.metric == "energy_joules":
            wanted = min(
                wanted, max(FASTEST_SECONDS, update_seconds(channel) / READS_PER_REFRESH or DEFAULT_PERIOD_SECONDS)
            )
        elif channel.metric == "power_watts":
            wanted = min(wanted, max(FASTEST_SECONDS, update_seconds(channel) / 2 or DEFAULT_PERIOD_SECONDS))
        elif channel.metric == "utilization_ratio":
            wanted = min(wanted, max(DEFAULT_PERIOD_SECONDS, channel.refresh_seconds))
    return min(max(period_at_most(wanted), period_at_least(slow)), SLOWEST_SECONDS)


def period_at_most(seconds: float) -> float:
    """Return the longest period of the grid up to `seconds`, or the shortest one."""
    return max(
        (period for period in PERIOD_GRID_SECONDS if period <= seconds * _NEARLY), default=PERIOD_GRID_SECONDS[0]
    )


def period_at_least(seconds: float) -> float:
    """Return the shortest period of the grid from `seconds` on, or the longest one."""
    return min(
        (period for period in PERIOD_GRID_SECONDS if period * _NEARLY >= seconds), default=PERIOD_GRID_SECONDS[-1]
    )


def periods_within(
    probes: Sequence[Sequence[Channel]], cpu_budget: float, cpu_seconds: Sequence[float] = ()
) -> tuple[tuple[float, float], ...]:
    """Return the base period of each probe and its period at the high rate, in seconds, 0 if it has none.

    Reads at the base periods may take half of `cpu_budget`, a share of one CPU (0: no limit); the other half pays for
    the edges. If they would take more, the periods of the probes that use the most are lengthened, those of gauges
    first: a counter loses nothing between two edges. `cpu_seconds` is the measured CPU time of a read of each probe, 0
    if it was not measured.
    """
    periods = [run_period_seconds(channels) for channels in probes]
    measured = cpu_seconds or [0.0] * len(probes)
    costs = [
        (known or min(max((channel.read_seconds for channel in channels), default=0.0), CPU_SECONDS)) + TICK_SECONDS
        for channels, known in zip(probes, measured, strict=True)
    ]
    gauges = [all(channel.metric != "energy_joules" for channel in each) for each in probes]
    while cpu_budget and sum(map(truediv, costs, periods)) > cpu_budget * BASE_SHARE:
        open_ = [number for number, period in enumerate(periods) if period < SLOWEST_SECONDS]
        if not open_:
            break
        most = max([number for number in open_ if gauges[number]] or open_, key=lambda n: costs[n] / periods[n])
        periods[most] = period_at_least(periods[most] * _NEARLY**2)
    return tuple((base, high_rate_period_seconds(channels)) for base, channels in zip(periods, probes, strict=True))


def high_rate_period_seconds(channels: Iterable[Channel]) -> float:
    """Return the time between reads around an edge of a window, in seconds; 0 without a counter.

    A counter is read twenty times a refresh, from every 0.5 ms to every 5 ms, and an estimate once; reads take at most
    a quarter of the time, and 18 ms for each edge. The period is one of the grid.
    """
    wanted = [
        max(
            period_at_most(
                min(
                    update_seconds(channel) / HIGH_RATE_READS_PER_REFRESH or SLOWEST_HIGH_RATE_SECONDS,
                    SLOWEST_HIGH_RATE_SECONDS,
                )
                if channel.source is Source.MEASURED
                else max(FASTEST_SECONDS, update_seconds(channel))
            ),
            period_at_least(channel.read_seconds / _high_rate_share(update_seconds(channel))),
        )
        for channel in channels
        if channel.metric == "energy_joules"
    ]
    return min(wanted, default=0.0)


def _high_rate_share(refresh_seconds: float) -> float:
    """Return the maximum share of time for the reads of a counter around an edge, by its refresh period."""
    edge_seconds = _EDGE_REFRESHES * (refresh_seconds or ASSUMED_REFRESH_SECONDS) + _EDGE_SECONDS
    return min(MAX_HIGH_RATE_SHARE, EDGE_CPU_SECONDS / edge_seconds)


def is_aliased(channel: Channel, period_seconds: float) -> bool:
    """Return whether a power gauge that is read every `period_seconds` leaves a part of the time unobserved.

    An averaging gauge needs one read for each averaging time, any other two reads for each update.
    """
    if channel.metric != "power_watts" or channel.aliased:
        return channel.aliased
    if channel.method == "average" and channel.refresh_seconds:
        return period_seconds > channel.refresh_seconds
    update = update_seconds(channel)
    return bool(update) and period_seconds > update / 2


def mark_aliased(channels: Iterable[Channel], period_seconds: float) -> tuple[Channel, ...]:
    """Return the channels of a probe that is read every `period_seconds`; aliased ones are marked."""
    return tuple(replace(channel, aliased=is_aliased(channel, period_seconds)) for channel in channels)


def needed_seconds(channel: Channel, tolerance: float) -> float:
    """Return the window length in seconds from which a sensor measures energy to within a share `tolerance`.

    The uncertainty at an edge is the energy of one update and one read for a counter, and the energy of half
    the averaging time for an average, whose refresh time is also uncertain by one read. The length is infinite if no
    window suffices: a model has its stated uncertainty, and the energy of unobserved time is bounded only by the
    ceiling of the device.
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
    """Return the time to continue reading after a window, in seconds, until every sensor has refreshed.

    It is one refresh period, stated or assumed, and two sampling periods for the read that shows the refresh.
    """
    refresh = (
        slowest_refresh_seconds(channel) or ASSUMED_REFRESH_SECONDS
        for channel in channels
        if channel.metric in ENERGY_METRICS
    )
    return max(refresh, default=0.0) + 2 * period_seconds + 0.02
