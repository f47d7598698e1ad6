"""Energy with bounds, and the assumptions about a sensor that states no refresh period, resolution or limit."""

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
"""The longest refresh period assumed for a sensor that states none."""
ASSUMED_RESOLUTION_JOULES = 0.001
"""The resolution assumed for a counter that states none and shows no coarser step."""
POWER_LIMIT_FACTOR = 1.25
"""The assumed maximum of mean power from a refresh to an edge, as a multiple of the power limit.

A device whose sensor showed more is bounded by the ceiling of its kind. Source of the assumption: Intel's design guide
for ATX 3.0 power supplies requires 1.2 times their rating for 100 ms, but 1.6 times for 10 ms, as graphics cards need
it; such a peak exactly at an edge can exceed the bound by the energy of some milliseconds."""
REFRESH_JITTER_FACTOR = 1.5
_IN_PART = re.compile(r"average of (\d+) in (\d+) ms")
"""The method of a gauge that averages over only a part of the time."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules with a lower and an upper bound."""

    joules: float
    lower: float
    upper: float

    def plus(self, other: Energy) -> Energy:
        """Return the sum with an energy that does not overlap; the bounds add, so those of the sum hold as well."""
        return Energy(self.joules + other.joules, self.lower + other.lower, self.upper + other.upper)

    def times(self, factor: float) -> Energy:
        """Return it times a factor from 0 on, such as 1 / inferences, or 1 / seconds for watts."""
        return Energy(self.joules * factor, self.lower * factor, self.upper * factor)

    def with_uncertainty(self, uncertainty: float) -> Energy:
        """Return it with both bounds widened by a relative half-width; the lower bound stays at 0 or above."""
        return Energy(self.joules, self.lower * max(0.0, 1 - uncertainty), self.upper * (1 + uncertainty))


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The energy of a window by the samples of one sensor.

    `peak_watts` is None if the window is too short to measure it; `reasons` are the doubts about the energy.
    """

    energy: Energy
    peak_watts: float | None
    reasons: tuple[str, ...] = ()


def combine_results(parts: Sequence[WindowResult]) -> WindowResult:
    """Return the sum over consecutive parts of a window; either all of them have a peak or none has."""
    energy = parts[0].energy
    for part in parts[1:]:
        energy = energy.plus(part.energy)
    peaks = [part.peak_watts for part in parts if part.peak_watts is not None]
    return WindowResult(
        energy, max(peaks, default=None), tuple(dict.fromkeys(chain(*(part.reasons for part in parts))))
    )


def ceiling_watts(channel: Channel, highest: float) -> float:
    """Return the maximum power of a device while its sensor did not observe it, in watts.

    `highest` is the maximum that the sensor showed. A device without a stated power limit is bounded by the ceiling of
    its kind.
    """
    power_limit = channel.max_plausible / PLAUSIBLE_LIMIT_FACTOR
    if channel.max_plausible and highest <= power_limit:
        return POWER_LIMIT_FACTOR * power_limit
    return max(max_watts(channel), highest)


def slowest_refresh_seconds(channel: Channel) -> float:
    """Return the longest assumed time between two values of a sensor, in seconds; 0 if it states none.

    An observed period above the stated one counts 1.5 times, as it can vary.
    """
    stated, seen = channel.refresh_seconds, channel.observed_refresh_seconds
    return REFRESH_JITTER_FACTOR * seen if 0 < stated < seen else stated


def averaging_seconds(channel: Channel) -> tuple[float, float]:
    """Return the observed time behind one reading of a gauge, and its period, in seconds; 0 if unknown."""
    if part := _IN_PART.fullmatch(channel.method):
        return int(part[1]) / 1e3, int(part[2]) / 1e3
    seconds = channel.refresh_seconds if channel.method == "average" else 0.0
    return seconds, seconds


def observes_in_part(channel: Channel) -> bool:
    """Return whether a gauge by design observes only a part of the time, at any read rate."""
    observed, seconds = averaging_seconds(channel)
    return not observed or observed < seconds
