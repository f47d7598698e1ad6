"""How often a probe is read while a run or a measurement is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.profiling.energy import ENERGETIC
from agent.profiling.joules import ASSUMED_REFRESH_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from probes.model import Channel

FASTEST_SECONDS = 0.01
USUAL_SECONDS = 0.1
SLOWEST_SECONDS = 1.0


def run_period_seconds(channels: Iterable[Channel]) -> float:
    """Return the time between reads of a probe with these channels, in seconds.

    An energy counter is read about once a refresh, no faster than every 10 ms; a power gauge twice a refresh where its
    refresh period is known; the rest every 100 ms, and what says nothing of power or load once a second.
    """
    wanted = SLOWEST_SECONDS
    for channel in channels:
        if channel.metric == "energy_joules":
            wanted = min(wanted, max(FASTEST_SECONDS, channel.refresh_seconds or USUAL_SECONDS))
        elif channel.metric == "power_watts":
            wanted = min(wanted, max(FASTEST_SECONDS, channel.refresh_seconds / 2 or USUAL_SECONDS))
        elif channel.metric == "utilization_ratio":
            wanted = min(wanted, USUAL_SECONDS)
    return min(wanted, SLOWEST_SECONDS)


def trailing_seconds(channels: Iterable[Channel], period_seconds: float) -> float:
    """Return how long to go on reading after a window so that every sensor of energy has shown what belongs to it.

    It is one refresh period, or what is assumed where none is stated, and two beats for the read that shows it.
    """
    refresh = (
        channel.refresh_seconds or ASSUMED_REFRESH_SECONDS for channel in channels if channel.metric in ENERGETIC
    )
    return max(refresh, default=0.0) + 2 * period_seconds + 0.02
