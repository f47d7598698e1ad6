"""Learns the power at the wall from the power that the sensors of a host show, and predicts it without a meter; pure.

The meter is fitted as an affine function of the host total, over windows of a minute or more. The prediction has the
95 % interval of a further window (Draper and Smith, Applied Regression Analysis, chapter 1), widened by the bounds of
all sensors, and is refused outside of the powers that were learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agent.energy.bounds import Energy
from agent.energy.counted_sensors import Boundary, coverage
from agent.energy.crosscheck import GAIN
from agent.energy.line import Pair, fit_line
from agent.energy.student import t_quantile
from probes.model import Kind, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.energy.crosscheck import Powers
    from probes.model import Channel

COUNTED = "counted channels"
LEAST_SECONDS = 60.0
"""The least length of a window to learn from."""
LEAST_LEVELS = 5
"""The least number of levels of load of each class of device."""
_LEVEL_SHARE = 0.05
"""The least distance of two levels, as a share of the highest one."""
_CLASSES = {Kind.CPU: "processors", Kind.MEMORY: "processors"}


class WallFactorError(ValueError):
    """No wall factor can be learned, or it cannot be used; the message has the reason."""


class WallFactor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The line wall = constant + slope * total, in watts, and the spread of the windows that it was fitted to.

    `deviation_watts` is the standard deviation of the windows about the line, `mean_watts` the mean of their totals and
    `spread` the sum of the squared distances from it; `sensor_watts` is the mean uncertainty of a window by its
    sensors. `ranges` are the lowest and the highest power of the total and of each class of device.
    """

    slope: float
    constant_watts: float
    windows: int
    window_seconds: float
    deviation_watts: float
    mean_watts: float
    spread: float
    sensor_watts: float
    ranges: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class AppliedFactor:
    """A factor with the device/domain paths of the total that it was learned for."""

    factor: WallFactor
    paths: frozenset[str]

    def power(self, total: Energy, counted: Mapping[Channel, float], seconds: float) -> Energy:
        """Return the power at the wall in watts of a window, from its total and the power of each counted channel.

        Raises WallFactorError if the factor does not hold for these sensors or powers.
        """
        estimated = any(channel.source is Source.ESTIMATED for channel in counted)
        if estimated or {channel.path for channel in counted} != self.paths:
            raise WallFactorError("the total has other sensors than the one that the wall factor was learned for")
        return predict(self.factor, total, {**class_watts(counted), "total": total.joules}, seconds)


class Split(NamedTuple):
    """The meters at the wall, and the channels of the total without them."""

    meters: tuple[Channel, ...]
    total: tuple[Channel, ...]


def split_at_wall(channels: Iterable[Channel]) -> Split:
    """Return the meters at the wall and the total without them. Raises WallFactorError if one of both is missing."""
    measured = [channel for channel in channels if channel.source is Source.MEASURED]
    whole = coverage(measured)
    if whole.boundary is not Boundary.WALL:
        raise WallFactorError("no sensor measures the power at the wall; configure a meter in [[meters]]")
    rest = coverage(channel for channel in measured if channel not in whole.includes)
    if rest.boundary is Boundary.WALL:
        names = ", ".join(channel.path for channel in rest.includes)
        raise WallFactorError(f"without this meter the total is at the wall as well, by {names}: no factor is needed")
    if not rest.includes:
        raise WallFactorError("no other sensor than the meter at the wall measures power")
    return Split(whole.includes, rest.includes)


def total_inside(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Return the measured channels of the total without a meter at the wall, none if there are no others."""
    measured = [channel for channel in channels if channel.source is Source.MEASURED]
    whole = coverage(measured)
    if whole.boundary is not Boundary.WALL:
        return whole.includes
    return coverage(channel for channel in measured if channel not in whole.includes).includes


def device_class(channel: Channel) -> str:
    """Return the class of device of a channel: `processors` for packages and their memory, else its kind."""
    return _CLASSES.get(channel.device.kind, channel.device.kind.value)


def class_watts(powers: Mapping[Channel, float]) -> dict[str, float]:
    """Return the power of the total and of each class of device in it, from the power of each channel in watts."""
    found = {"total": math.fsum(powers.values())}
    for channel, watts in powers.items():
        name = device_class(channel)
        found[name] = found.get(name, 0.0) + watts
    return found


def learn(split: Split, windows: Sequence[Powers], window_seconds: float) -> WallFactor:
    """Fit a factor to the powers of windows of one length. Raises WallFactorError if they do not suffice."""
    if window_seconds < LEAST_SECONDS:
        raise WallFactorError(f"windows of {window_seconds:g} s are too short; {LEAST_SECONDS:g} s are needed")
    wanted = [channel.place for channel in (*split.meters, *split.total)]
    whole = [window for window in windows if all(place in window for place in wanted)]
    pairs = [Pair(_sum(window, split.total), _sum(window, split.meters)) for window in whole]
    classes = [class_watts({each: window[each.place].joules for each in split.total}) for window in whole]
    ranges = _ranges(classes)
    line = fit_line(pairs)
    if line is None:
        raise WallFactorError("the bounds of the sensors are wider than the change of the load")
    if (line.slope.upper or 0.0) < 1 - GAIN:
        words = f"the meter rises by {line.slope.mean:.2f} W for each watt of the total, which counts a part twice"
        raise WallFactorError(f"{words}; see `inferometer crosscheck`")
    below = [pair.below.joules for pair in pairs]
    mean = fmean(below)
    return WallFactor(
        slope=line.slope.mean,
        constant_watts=line.offset.mean,
        windows=len(pairs),
        window_seconds=window_seconds,
        deviation_watts=line.deviation,
        mean_watts=mean,
        spread=math.fsum((each - mean) ** 2 for each in below),
        sensor_watts=fmean(_half(pair.meter) + line.slope.mean * _half(pair.below) for pair in pairs),
        ranges=ranges,
    )


def predict(factor: WallFactor, total: Energy, classes: Mapping[str, float], seconds: float) -> Energy:
    """Return the power at the wall in watts of a window of `seconds`, from its total and the power of each class.

    Windows shorter than the learned ones scatter more, as the root of the ratio. Raises WallFactorError outside of the
    learned powers, where nothing is known about the line.
    """
    slack = {"total": _half(total)}
    for name in sorted({*classes, *factor.ranges}):
        watts, (low, high) = classes.get(name, 0.0), factor.ranges.get(name, (0.0, 0.0))
        if not low - slack.get(name, 0.0) <= watts <= high + slack.get(name, 0.0):
            words = f"{name} {watts:.3g} W, and the wall factor was learned from {low:.3g} to {high:.3g} W"
            raise WallFactorError(f"{words}: it is not extrapolated")
    mean = factor.constant_watts + factor.slope * total.joules
    distance = (total.joules - factor.mean_watts) ** 2 / factor.spread
    scatter = t_quantile(factor.windows - 2) * factor.deviation_watts * math.sqrt(1 + 1 / factor.windows + distance)
    half = scatter * math.sqrt(max(1.0, factor.window_seconds / seconds)) + factor.sensor_watts
    half += factor.slope * _half(total)
    return Energy(mean, max(0.0, mean - half), mean + half)


def wall_key(
    host_id: str, channels: Iterable[Channel], total: Sequence[Channel], power_limits: Mapping[str, float]
) -> dict[str, tuple[str, ...]]:
    """Return the facts that a factor depends on: devices, channels of the total, power limits and power supplies.

    External meters are no part of it. `power_limits` are those of the RAPL zones in watts; the limit of an accelerator
    is the largest plausible power of its channel.
    """
    known = {channel.device.id: channel.device for channel in channels}
    inside = [device for device in known.values() if "meter" not in dict(device.attributes)]
    limits = [f"{name} {watts:g} W" for name, watts in power_limits.items()]
    limits += [f"{each.path} at most {each.max_plausible:g}" for each in total if each.max_plausible]
    return {
        "host": (host_id,),
        "devices": tuple(sorted(f"{each.id} {each.kind.value}" for each in inside if each.kind is not Kind.PSU)),
        COUNTED: tuple(sorted(f"{each.path} {each.metric}" for each in total)),
        "power limits": tuple(sorted(limits)),
        "power supplies": tuple(sorted(each.id for each in inside if each.kind is Kind.PSU)),
    }


def changes(learned: Mapping[str, Sequence[str]], present: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the differences that make a factor void, as text; none if it applies."""
    found = []
    for name in sorted({*learned, *present}):
        before, now = set(learned.get(name, ())), set(present.get(name, ()))
        if before != now:
            parts = [f"{each} is new" for each in sorted(now - before)]
            parts += [f"{each} is gone" for each in sorted(before - now)]
            found.append(f"{name}: {', '.join(parts)}")
    return tuple(found)


def _ranges(classes: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest power of each class. Raises WallFactorError for one of too few levels."""
    names = sorted({name for each in classes for name in each})
    levels = {name: _levels([each[name] for each in classes]) for name in names}
    few = [f"{name}: {count}" for name, count in levels.items() if count < LEAST_LEVELS]
    if few or not names:
        found = "; ".join(few) or "no window has an energy of all sensors"
        raise WallFactorError(
            f"{LEAST_LEVELS} levels of load are needed for the total and for each class of device, and there are fewer "
            f"({found}); run loads that differ more"
        )
    return {name: (min(each[name] for each in classes), max(each[name] for each in classes)) for name in names}


def _levels(watts: Sequence[float]) -> int:
    """Return the largest number of these powers that are apart from each other by a share of the highest one."""
    step, count, last = _LEVEL_SHARE * max(watts), 0, -math.inf
    for each in sorted(watts):
        if each - last > step:
            count, last = count + 1, each
    return count


def _sum(window: Powers, channels: Iterable[Channel]) -> Energy:
    total = Energy(0.0, 0.0, 0.0)
    for channel in channels:
        total = total.plus(window[channel.place])
    return total


def _half(power: Energy) -> float:
    return max(power.upper - power.joules, power.joules - power.lower)
