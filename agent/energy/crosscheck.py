"""Compares each layer of meters with the sum of the sensors below it, over windows of different load; pure.

The power of a meter over that of the sum below is a line. Its slope is 1 over the efficiency between both: below 1 the
sum contains something twice, far above it misses a part that varies with the load. Its offset is the power that does
not vary with the load and has no sensor below.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy
from agent.energy.layers import layers
from agent.energy.line import Pair, fit_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.cost.interval import Interval
    from agent.energy.containment import Key
    from agent.energy.layers import Layer
    from agent.energy.window import Energies
    from probes.model import Channel

GAIN = 0.03
"""The assumed relative error of the calibration of two sensors: a meter of class 1 and a counter of 2 %.

The bounds of an energy are those of reading a sensor, and do not contain it."""
MIN_LOAD_CHANGE = 0.1
"""The least change of the load, as a share of the highest power below, that shows a slope."""
_OFFSET_SHARE, _OFFSET_WATTS = 0.03, 1.0
"""The offset up to which no part is missing: a share of the mean power of the meter, and at least a watt."""

Powers = dict["Key", Energy]
"""The mean power of each (device, domain) in one window, in watts."""


class Verdict(StrEnum):
    """The result of a comparison, the most serious first."""

    DOUBLE_COUNTED = "double_counted"
    DYNAMIC_PART_MISSING = "dynamic_part_missing"
    CONSTANT_PART_MISSING = "constant_part_missing"
    UNDETERMINED = "undetermined"
    PLAUSIBLE = "plausible"


@dataclass(frozen=True, slots=True)
class CheckedLayer:
    """A layer with its line: slope (watts of the meter for each watt below) and offset in watts, with bounds.

    Both are None if the windows show no slope. `slope_limit` is the largest slope that losses explain. `windows` is the
    number of windows in which all of its sensors have an energy.
    """

    layer: Layer
    windows: int
    slope: Interval | None
    offset_watts: Interval | None
    slope_limit: float
    verdict: Verdict
    reason: str


def powers(series: Iterable[Energies], start_ns: int, end_ns: int) -> Powers:
    """Return the mean power of each sensor in a window, without those whose energy is unknown."""
    energies = ((each.channel.place, each.between(start_ns, end_ns).energy) for each in series)
    return {place: energy.times(1e9 / (end_ns - start_ns)) for place, energy in energies if energy is not None}


def cross_check_layers(channels: Iterable[Channel], windows: Sequence[Powers]) -> tuple[CheckedLayer, ...]:
    """Compare each layer of working channels (`layers.WorkingChannels`) over windows, the outermost layer first."""
    return tuple(_checked(layer, windows) for layer in layers(channels))


def _checked(layer: Layer, windows: Sequence[Powers]) -> CheckedLayer:
    pairs = [pair for window in windows if (pair := _pair(layer, window))]
    limit = (1 + GAIN) / layer.efficiency
    unknown = _missing_levels(pairs)
    line = None if unknown else fit_line(pairs)
    if line is None:
        reason = unknown or "the bounds of the sensors are wider than the change of the load; use longer windows"
        return CheckedLayer(layer, len(pairs), None, None, limit, Verdict.UNDETERMINED, reason)
    allowed = max(_OFFSET_WATTS, _OFFSET_SHARE * sum(pair.meter.joules for pair in pairs) / len(pairs))
    verdict, reason = _verdict(line.slope, line.offset, limit, allowed)
    return CheckedLayer(layer, len(pairs), line.slope, line.offset, limit, verdict, reason)


def _pair(layer: Layer, window: Mapping[Key, Energy]) -> Pair | None:
    sums = [_sum(window, side) for side in (layer.below, layer.meters)]
    return Pair(sums[0], sums[1]) if sums[0] and sums[1] else None


def _sum(window: Mapping[Key, Energy], channels: Iterable[Channel]) -> Energy | None:
    """Return the sum of the powers of some channels, None if one of them is unknown."""
    total = Energy(0.0, 0.0, 0.0)
    for channel in channels:
        power = window.get(channel.place)
        if power is None:
            return None
        total = total.plus(power)
    return total


def _missing_levels(pairs: Sequence[Pair]) -> str:
    """Return the reason why windows do not show two levels of load, empty if they do."""
    if len(pairs) < 2:  # noqa: PLR2004  a line needs two points
        return "fewer than two windows have an energy of all these sensors"
    below = [pair.below.joules for pair in pairs]
    change = max(below) - min(below)
    if change <= MIN_LOAD_CHANGE * max(below):
        return f"the load changed by {change:.3g} W only, which shows no slope; put a load on the host for some windows"
    return ""


def _verdict(slope: Interval, offset: Interval, limit: float, allowed: float) -> tuple[Verdict, str]:
    """Return the verdict with its reason; `allowed` is the offset in watts up to which no part is missing."""
    lowest, highest = slope.lower or 0.0, slope.upper or 0.0
    if highest < 1 - GAIN:
        words = f"the meter rises by {highest:.2f} W at most for each watt below: the sum below has a part twice"
        return Verdict.DOUBLE_COUNTED, words
    if lowest > limit:
        words = f"the meter rises by {lowest:.2f} W or more for each watt below, and losses explain {limit:.2f} W: "
        return Verdict.DYNAMIC_PART_MISSING, f"{words}a part that varies with the load has no sensor below"
    if lowest < 1 - GAIN or highest > limit:
        words = f"the slope may be {lowest:.2f} to {highest:.2f}, and 1 to {limit:.2f} is plausible; "
        return Verdict.UNDETERMINED, f"{words}use longer windows, or loads that differ more"
    return _offset_verdict(offset.lower or 0.0, offset.upper or 0.0, allowed)


def _offset_verdict(least: float, most: float, allowed: float) -> tuple[Verdict, str]:
    """Return the verdict about a layer of plausible slope, from the bounds of its offset in watts."""
    if most < -allowed:
        words = f"at no load the sum below exceeds the meter by {-most:.3g} W or more: it has a constant part twice"
        return Verdict.DOUBLE_COUNTED, f"{words}, or one that this meter does not feed"
    if least > allowed:
        words = f"{least:.3g} W or more that do not vary with the load have no sensor below"
        return Verdict.CONSTANT_PART_MISSING, f"{words}, such as fans, disks or memory"
    if least < -allowed or most > allowed:
        words = f"the slope is plausible; the constant part without a sensor may be {least:.3g} to {most:.3g} W"
        return Verdict.UNDETERMINED, f"{words}; use longer windows, or loads that differ more"
    return Verdict.PLAUSIBLE, "the sensors below account for the power of the meter"
