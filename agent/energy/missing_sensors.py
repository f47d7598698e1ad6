"""Describes the sensors and processors that the total of a host omits; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.energy.containment import contains, is_socket
from probes.model import ENERGY_METRICS, Channel, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from agent.energy.containment import Containment
    from probes.model import Device


UNMEASURED = " (nothing measures its power)"


def missing_sensors(
    includes: Sequence[Channel],
    active: Sequence[Channel],
    silent: Sequence[Channel],
    containers: Containment,
    *,
    covers_host: bool,
) -> tuple[str, ...]:
    """Return the silent sensors that are missing in a sum of `includes`, as text.

    `covers_host` states that the sum includes everything behind its meters: then only a meter of the same sort can be
    missing.
    """
    lost = _missing_channels(includes, active, silent, containers, covers_host=covers_host)
    return tuple(f"{channel.path} (its sensor shows nothing)" for channel in lost)


def devices_without_sensor(
    includes: Sequence[Channel], channels: Sequence[Channel], containers: Containment, kinds: Collection[Kind]
) -> tuple[str, ...]:
    """Return the devices of these kinds without an energy sensor that none of `includes` covers, as text."""
    sensed = {channel.device.id for channel in channels if channel.metric in ENERGY_METRICS}
    devices = {channel.device.id: channel.device for channel in channels if channel.device.kind in kinds}
    bare = (device for device in devices.values() if device.id not in sensed)
    return tuple(f"{each.id}{UNMEASURED}" for each in bare if not is_covered(each, channels, includes, containers))


def _missing_channels(
    includes: Sequence[Channel],
    active: Sequence[Channel],
    silent: Sequence[Channel],
    containers: Containment,
    *,
    covers_host: bool,
) -> Iterator[Channel]:
    seen = {channel.place for channel in active if channel.metric in ENERGY_METRICS}
    dead = {channel.place: channel for channel in silent if channel.metric in ENERGY_METRICS}
    for key, channel in dead.items():
        named = any(other[0] == key[0] and other in dead for other in containers.get(key, ()))
        if key in seen or named or (covers_host and not _is_like(channel, includes)):
            continue
        if not any(contains(meter, channel, containers) for meter in includes):
            yield channel


def _is_like(channel: Channel, includes: Sequence[Channel]) -> bool:
    """Return whether a sensor is of the same sort as those of the sum: one supply of two, one meter of two."""
    return any((channel.device.kind, channel.domain) == (one.device.kind, one.domain) for one in includes) or (
        channel.device.kind is Kind.PSU and any(one.device.kind is Kind.PSU for one in includes)
    )


def is_covered(
    device: Device, channels: Sequence[Channel], includes: Sequence[Channel], containers: Containment
) -> bool:
    """Return whether the sum includes a device without a sensor of its own.

    It includes a processor if it has a sensor of the processor under another name, of its dies, or of a container. It
    includes an accelerator if it has the meter, or a rail, of the module that the accelerator names.
    """
    if device.kind is not Kind.CPU:
        outer = tuple(key for channel in channels if channel.device.id == device.id for key in channel.contained_in)
        return any(
            contains(one, Channel(device, "board", "power_watts", contained_in=outer), containers) for one in includes
        )
    stand_in = replace(Channel(device, "package", "power_watts"), source=Source.ESTIMATED)
    return any(_covers_processor(one, stand_in, containers) for one in includes)


def _covers_processor(one: Channel, processor: Channel, containers: Containment) -> bool:
    if one.device.kind is Kind.CPU:
        return not one.device.id.startswith("package-") or one.device.id.startswith(f"{processor.device.id}-die-")
    return is_socket(one) or contains(one, processor, containers)
