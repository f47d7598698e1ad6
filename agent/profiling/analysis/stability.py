"""The power of a point by repeat and by parts of its windows, to see whether it had settled; pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.bounds import ASSUMED_REFRESH_SECONDS
from agent.profiling.analysis.metrics import seconds_per_inference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.energy.bounds import Energy
    from agent.energy.window import SeriesEnergy
    from agent.profiling.analysis.metrics import Repeat, Sensors
    from store.records import Window

MAX_PARTS = 6
MIN_PARTS = 3
"""The fewest values that show a trend."""
REFRESHES_PER_PART = 10
"""How many refreshes of the slowest sensor make what its last one leaves open small against a stretch's energy."""


def power_by_repeat(repeats: Sequence[Repeat], totals: Sequence[Energy] | None) -> tuple[float, ...]:
    """Return the mean power of each repeat in watts from its joules per inference; nothing where they are not known."""
    if totals is None:
        return ()
    return tuple(total.joules / seconds_per_inference(repeat) for repeat, total in zip(repeats, totals, strict=True))


def power_within(repeats: Sequence[Repeat], sensors: Sensors) -> tuple[tuple[float, ...], ...]:
    """Return, for each phase, the power in each stretch of its windows over the window's own, the mean of the repeats.

    Windows are cut into as many even stretches as the slowest counted sensor can tell apart. A phase whose windows are
    too short for three, or whose energy is not known throughout, is left out.
    """
    found = []
    for windows in zip(*repeats, strict=True):
        count = _part_count(windows, sensors)
        power_profiles = [_power_profile(window, sensors.included, count) for window in windows] if count else []
        known = [power_profile for power_profile in power_profiles if power_profile]
        if known and len(known) == len(power_profiles):
            found.append(tuple(sum(values) / len(known) for values in zip(*known, strict=True)))
    return tuple(found)


def _part_count(windows: Sequence[Window], sensors: Sensors) -> int:
    refreshes = [each.channel.refresh_seconds or ASSUMED_REFRESH_SECONDS for each in sensors.included]
    if not refreshes:
        return 0
    shortest = REFRESHES_PER_PART * max(*refreshes, sensors.sampling_period_seconds)
    count = min(MAX_PARTS, int(min(window.seconds for window in windows) / shortest))
    return count if count >= MIN_PARTS else 0


def _power_profile(window: Window, series: Sequence[SeriesEnergy], count: int) -> tuple[float, ...]:
    """Return the energy of each stretch as a multiple of the mean stretch; nothing where it is not known."""
    length = window.end_ns - window.start_ns
    edges = [window.start_ns + length * number // count for number in range(count + 1)]
    joules = []
    for start_ns, end_ns in pairwise(edges):
        energies = [each.between(start_ns, end_ns).energy for each in series]
        if not all(energies):
            return ()
        joules.append(sum(energy.joules for energy in energies if energy))
    mean = sum(joules) / count
    return tuple(value / mean for value in joules) if mean else ()
