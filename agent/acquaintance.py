"""Watches every sensor of energy for a moment at start: how often it shows a new value, and what a read costs."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from agent.log import get_logger
from agent.profiling.periods import run_period_seconds, told_aliased, update_seconds
from probes.errors import DeviceLostError, ReadError
from probes.model import ENERGETIC, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from probes.model import Channel, Probe

CHANGES = 10
"""New values to wait for; the refresh period is the median of the times between them."""
LONGEST_SECONDS = 1.2
LONGEST_REFRESHES = 12
LEAST_SECONDS = 0.25
"""A sensor that stands still is watched for so many of the refreshes it states, a quarter of a second at least, for it
may be slower than it states, and 1.2 s at most."""
_STEPS = 2.0
"""A change by fewer steps of a sensor's resolution tells of a little power, and nothing of its refresh."""
READS_A_REFRESH = 10
FASTEST_SECONDS = 0.0002
SLOWEST_SECONDS = 0.005
LARGEST_SHARE = 0.25

log = get_logger("acquaintance")


def acquaint(probes: Sequence[Probe]) -> tuple[tuple[Channel, ...], ...]:
    """Return the channels of each probe with what was learnt of them; takes 1.2 s at most, all probes at once.

    Nothing is learnt of a probe that fails or hangs, and of one without a sensor of energy nothing is asked.
    """
    learnt: dict[int, tuple[Channel, ...]] = {}

    stop = threading.Event()

    def watch(number: int, probe: Probe) -> None:
        learnt[number] = learn(probe, stop.is_set)

    threads = [
        threading.Thread(target=watch, args=(number, probe), name=f"acquaint-{probe.name}", daemon=True)
        for number, probe in enumerate(probes)
        if _watched(probe.channels)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 2 * LONGEST_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    stop.set()
    return tuple(learnt.get(number, probe.channels) for number, probe in enumerate(probes))


def learn(
    probe: Probe,
    is_over: Callable[[], bool] = lambda: False,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[Channel, ...]:
    """Read a probe again and again until its sensors of energy have changed ten times, and return its channels anew.

    Their `read_seconds` is the median time of a read, their `observed_refresh_seconds` the median time between two
    changes, 0 where there were fewer than three, or changes are as small and seldom as the sensor's steps. A gauge that
    cannot be read twice an update is said to be aliased.
    Once `is_over`, somebody else reads the probe, and a read that comes back only then leaves it alone.
    """
    watched = _watched(probe.channels)
    changes: dict[int, list[int]] = {position: [] for position in watched}
    rises: dict[int, list[float]] = {position: [] for position in watched}
    last: dict[int, float] = {}
    costs: list[int] = []
    period = min(max((_refresh(probe.channels[p]) for p in watched), default=0.0) / READS_A_REFRESH, SLOWEST_SECONDS)
    started = monotonic_ns()
    ends = started + round(_longest_seconds(probe.channels) * 1e9)
    while (before := monotonic_ns()) < ends and any(len(seen) < CHANGES for seen in changes.values()):
        try:
            values = probe.read(before)
        except (ReadError, DeviceLostError) as error:
            log.debug("not watched", probe=probe.name, reason=str(error))
            break
        if is_over():
            return probe.channels
        after = monotonic_ns()
        costs.append(after - before)
        for position, seen in changes.items():
            if not math.isnan(values[position]):
                if last.get(position, values[position]) != values[position]:
                    seen.append(after)
                    rises[position].append(abs(values[position] - last[position]))
                last[position] = values[position]
        sleep(max(period, FASTEST_SECONDS, (after - before) / 1e9 / LARGEST_SHARE))
    probe.rejections.clear()
    coarse = {
        position
        for position, seen in rises.items()
        if seen and median(seen) < _STEPS * probe.channels[position].resolution
    }
    return _with_learnt(probe.channels, changes, coarse, costs)


def _watched(channels: Sequence[Channel]) -> tuple[int, ...]:
    """Return the positions of the channels that a sensor of energy or power gives."""
    return tuple(
        position
        for position, channel in enumerate(channels)
        if channel.metric in ENERGETIC and channel.source is Source.MEASURED
    )


def _refresh(channel: Channel) -> float:
    return update_seconds(channel) or SLOWEST_SECONDS * READS_A_REFRESH


def _longest_seconds(channels: Sequence[Channel]) -> float:
    """Return how long to watch at most: twelve of the longest refresh that is stated; all of the time if one is not."""
    refreshes = [channels[position].refresh_seconds or LONGEST_SECONDS for position in _watched(channels)]
    return min(LONGEST_SECONDS, max(LEAST_SECONDS, LONGEST_REFRESHES * max(refreshes, default=0.0)))


def _with_learnt(
    channels: Sequence[Channel], changes: dict[int, list[int]], coarse: Container[int], costs: Sequence[int]
) -> tuple[Channel, ...]:
    cost = median(costs) / 1e9 if costs else 0.0
    told = []
    for position, channel in enumerate(channels):
        between = [after - before for before, after in pairwise(changes.get(position, ()))]
        observed = median(between) / 1e9 if len(between) > 1 else 0.0
        if position in coarse and observed > channel.refresh_seconds:
            observed = 0.0
        told.append(replace(channel, read_seconds=cost, observed_refresh_seconds=observed))
    return told_aliased(told, run_period_seconds(told))
