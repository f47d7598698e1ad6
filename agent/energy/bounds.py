"""Joules with a bound, and what is assumed of a sensor that does not say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.model import Channel

from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, max_watts

ASSUMED_REFRESH_SECONDS = 1.0
"""What a sensor that does not say is taken to need, at most, to show what was drawn."""
ASSUMED_RESOLUTION_JOULES = 0.001
"""What a counter that does not say is taken to count in, at most, where its rises do not show a coarser step."""
POWER_LIMIT_FACTOR = 1.25
"""From a refresh to an edge a device is taken to draw no more than so many times its power limit on average, unless its
sensor showed that it does not keep to it. It is an assumption: Intel's design guide for ATX 3.0 power supplies has them
bear 1.2 times their rating for 100 ms but 1.6 times for 10 ms, as graphics cards ask for it, and such a peak right at
an edge can exceed the bound by what is drawn in some milliseconds."""
REFRESH_JITTER_FACTOR = 1.5
_IN_PART = re.compile(r"average of (\d+) in (\d+) ms")
"""The method of a gauge that averages a part of the time only."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules with a lower and an upper bound."""

    joules: float
    lower: float
    upper: float

    def plus(self, other: Energy) -> Energy:
        """Add two energies that do not overlap; their bounds add too, so the sum's bound holds as well."""
        return Energy(self.joules + other.joules, self.lower + other.lower, self.upper + other.upper)

    def times(self, factor: float) -> Energy:
        """Scale by a factor that is not negative: per inference, or (by 1 / seconds) to watts."""
        return Energy(self.joules * factor, self.lower * factor, self.upper * factor)

    def with_uncertainty(self, uncertainty: float) -> Energy:
        """Return it with a relative half-width more on either side; no energy is below 0, however wide."""
        return Energy(self.joules, self.lower * max(0.0, 1 - uncertainty), self.upper * (1 + uncertainty))


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What the samples of one sensor tell of a window.

    `peak_watts` is None where the window is too short to tell it; `reasons` are what makes the energy doubtful.
    """

    energy: Energy
    peak_watts: float | None
    reasons: tuple[str, ...] = ()


def combine_results(parts: Sequence[WindowResult]) -> WindowResult:
    """Add what samples say of parts of a window that follow one another; each has a peak or none of them has."""
    energy = parts[0].energy
    for part in parts[1:]:
        energy = energy.plus(part.energy)
    peaks = [part.peak_watts for part in parts if part.peak_watts is not None]
    return WindowResult(
        energy, max(peaks, default=None), tuple(dict.fromkeys(chain(*(part.reasons for part in parts))))
    )


def ceiling_watts(channel: Channel, highest: float) -> float:
    """Return the most a device can have drawn while its sensor did not observe it, in watts.

    `highest` is the most the sensor showed. A device that states no power limit is bounded by the ceiling of its kind.
    """
    power_limit = channel.max_plausible / PLAUSIBLE_LIMIT_FACTOR
    if channel.max_plausible and highest <= power_limit:
        return POWER_LIMIT_FACTOR * power_limit
    return max(max_watts(channel), highest)


def slowest_refresh_seconds(channel: Channel) -> float:
    """Return the longest time a sensor is taken to need for a new value, in seconds; 0 if nothing is stated.

    One that was seen to need longer than it states is granted half as much again, as it need not be even.
    """
    stated, seen = channel.refresh_seconds, channel.observed_refresh_seconds
    return REFRESH_JITTER_FACTOR * seen if 0 < stated < seen else stated


def averaging_seconds(channel: Channel) -> tuple[float, float]:
    """Return how long a gauge observes the power for one reading, and in how long, in seconds; 0 if not known."""
    if part := _IN_PART.fullmatch(channel.method):
        return int(part[1]) / 1e3, int(part[2]) / 1e3
    seconds = channel.refresh_seconds if channel.method == "average" else 0.0
    return seconds, seconds


def observes_in_part(channel: Channel) -> bool:
    """Return whether a gauge leaves out a part of the time by its nature, however often it is read."""
    observed, seconds = averaging_seconds(channel)
    return not observed or observed < seconds
