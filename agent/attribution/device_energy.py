"""The energy of each device between two moments, from the joules that the service adds up; pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from agent.attribution.parts import NOTHING
from agent.energy.bounds import ASSUMED_REFRESH_SECONDS, Energy, slowest_refresh_seconds
from agent.energy.counted_sensors import coverage
from agent.energy.provenance import provenance
from probes.model import METRICS, MetricType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.sampling.channel_energy import ChannelJoules
    from probes.model import Channel


@dataclass(frozen=True, slots=True)
class DeviceEnergy:
    """The energy of a device from `start_ns` to `end_ns`; `source` is measured, estimated or mixed."""

    device: str
    kind: str
    energy: Energy
    start_ns: int
    end_ns: int
    source: str

    @property
    def seconds(self) -> float:
        """The length of the interval."""
        return (self.end_ns - self.start_ns) / 1e9


class DeviceMeter:
    """Measures the energies of devices from one call of `advance` to the next.

    A device is measured by its outermost sensors, as if it were the whole host. If one of them is not fresh, or was not
    read since the last call, its interval is extended to the next call; if the sensors change, an interval is lost.
    """

    def __init__(self) -> None:
        self._last: dict[str, dict[Channel, ChannelJoules]] = {}

    def advance(self, readings: Sequence[ChannelJoules]) -> tuple[DeviceEnergy, ...]:
        """Return the energies since the last call, by device."""
        found = []
        by_device = sorted(readings, key=lambda each: each.channel.device.id)
        for device, group in groupby(by_device, key=lambda each: each.channel.device.id):
            own = {each.channel: each for each in group}
            counted = coverage(own).includes
            now = {channel: own[channel] for channel in counted}
            before = self._last.get(device)
            if not now or (before and any(now[each].at_ns <= before[each].at_ns for each in now if each in before)):
                continue
            self._last[device] = now
            if before and before.keys() == now.keys():
                found.append(_between(device, before, now))
        return tuple(found)


def _between(
    device: str, before: Mapping[Channel, ChannelJoules], now: Mapping[Channel, ChannelJoules]
) -> DeviceEnergy:
    energy = NOTHING
    for channel, last in now.items():
        energy = energy.plus(_energy(channel, before[channel], last))
    start_ns, end_ns = max(each.at_ns for each in before.values()), max(each.at_ns for each in now.values())
    return DeviceEnergy(device, next(iter(now)).device.kind.value, energy, start_ns, end_ns, provenance(now).value)


def _energy(channel: Channel, before: ChannelJoules, now: ChannelJoules) -> Energy:
    """Return the energy of one channel.

    A counter is uncertain at each edge by one refresh period at the mean power, and by its resolution; a gauge by the
    readings around each moment. The uncertainty of a model is added.
    """
    joules = max(0.0, now.joules - before.joules)
    seconds = (now.at_ns - before.at_ns) / 1e9
    if METRICS[channel.metric].type is MetricType.COUNTER:
        refresh = slowest_refresh_seconds(channel) or ASSUMED_REFRESH_SECONDS
        half = 2 * (joules / seconds * refresh + channel.resolution)
    else:
        lower, upper = max(0.0, now.lower - before.lower), now.upper - before.upper
        return Energy(joules, min(lower, joules), max(upper, joules)).with_uncertainty(channel.uncertainty)
    return Energy(joules, max(0.0, joules - half), joules + half).with_uncertainty(channel.uncertainty)
