"""The power of a point by repeat and by parts of its windows, to check that it has settled; pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from agent.energy.bounds import ASSUMED_REFRESH_SECONDS
from agent.profiling.analysis.metrics import seconds_per_inference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.energy.bounds import Energy
    from agent.energy.window import Energies
    from agent.profiling.analysis.metrics import Repeat, Sensors
    from store.records import Window

MAX_PARTS = 6
MIN_PARTS = 3
"""The smallest number of values with a trend."""
REFRESHES_PER_PART = 10
"""The refreshes of the slowest sensor in a part that make its uncertainty small against the energy of the part."""


def power_by_repeat(repeats: Sequence[Repeat], totals: Sequence[Energy] | None) -> tuple[float, ...]:
    """Return the mean power of each repeat in watts from its joules per inference; nothing if they are unknown."""
    if totals is None:
        return ()
    return tuple(total.joules / seconds_per_inference(repeat) for repeat, total in zip(repeats, totals, strict=True))


def power_within(repeats: Sequence[Repeat], sensors: Sensors) -> tuple[tuple[float, ...], ...]:
    """Return for each phase the power in each part of its windows over that of the window, as means over repeats.

    Windows are cut into equal parts, as many as the slowest counted sensor can resolve. A phase with windows too short
    for three parts, or of partly unknown energy, is left out.
    """
    found = []
    for windows in zip(*repeats, strict=True):
        count = _part_count(windows, sensors)
        power_profiles = [_power_profile(window, sensors.included, count) for window in windows] if count else []
        known = [power_profile for power_profile in power_profiles if power_profile]
        if known and len(known) == len(power_profiles):
            found.append(tuple(sum(values) / len(known) for values in zip(*known, strict=True)))
    return tuple(found)


def window_parts(repeats: Sequence[Repeat], sensors: Sensors) -> Iterator[tuple[int, int]]:
    """Yield the parts of windows whose energies `power_within` asks for, as (start, end) in nanoseconds."""
    for windows in zip(*repeats, strict=True):
        if count := _part_count(windows, sensors):
            for window in windows:
                yield from pairwise(_edges(window, count))


def _part_count(windows: Sequence[Window], sensors: Sensors) -> int:
    refreshes = [each.channel.refresh_seconds or ASSUMED_REFRESH_SECONDS for each in sensors.included]
    if not refreshes:
        return 0
    shortest = REFRESHES_PER_PART * max(*refreshes, sensors.sampling_period_seconds)
    count = min(MAX_PARTS, int(min(window.seconds for window in windows) / shortest))
    return count if count >= MIN_PARTS else 0


def _power_profile(window: Window, series: Sequence[Energies], count: int) -> tuple[float, ...]:
    """Return the energy of each part as a multiple of the mean part; nothing if one is unknown."""
    joules = []
    for start_ns, end_ns in pairwise(_edges(window, count)):
        energies = [each.between(start_ns, end_ns).energy for each in series]
        if not all(energies):
            return ()
        joules.append(sum(energy.joules for energy in energies if energy))
    mean = sum(joules) / count
    return tuple(value / mean for value in joules) if mean else ()


def _edges(window: Window, count: int) -> list[int]:
    """Return the edges of the equal parts of a window."""
    length = window.end_ns - window.start_ns
    return [window.start_ns + length * number // count for number in range(count + 1)]
