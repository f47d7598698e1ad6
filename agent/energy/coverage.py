"""Which sensors and processors of a host its total leaves out, in words; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.energy.containment import holds, is_socket, key_of
from probes.model import ENERGETIC, Channel, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from agent.energy.containment import Holders
    from probes.model import Device


def uncovered(
    includes: Sequence[Channel], alive: Sequence[Channel], silent: Sequence[Channel], holders: Holders, *, all_in: bool
) -> tuple[str, ...]:
    """Name the silent sensors that are missing in a sum of `includes`.

    `all_in` says that the sum is of all that is behind its meters: then only their like can be missing.
    """
    lost = _lost(includes, alive, silent, holders, all_in=all_in)
    return tuple(f"{channel.device.id}/{channel.domain} (its sensor shows nothing)" for channel in lost)


def unmeasured(
    includes: Sequence[Channel], channels: Sequence[Channel], holders: Holders, kinds: Collection[Kind]
) -> tuple[str, ...]:
    """Name the devices of these kinds that have no sensor of their energy and are in none of `includes`."""
    sensed = {channel.device.id for channel in channels if channel.metric in ENERGETIC}
    devices = {channel.device.id: channel.device for channel in channels if channel.device.kind in kinds}
    bare = (device for device in devices.values() if device.id not in sensed)
    return tuple(
        f"{each.id} (nothing measures its power)" for each in bare if not _is_in(each, channels, includes, holders)
    )


def _lost(
    includes: Sequence[Channel], alive: Sequence[Channel], silent: Sequence[Channel], holders: Holders, *, all_in: bool
) -> Iterator[Channel]:
    seen = {key_of(channel) for channel in alive if channel.metric in ENERGETIC}
    dead = {key_of(channel): channel for channel in silent if channel.metric in ENERGETIC}
    for key, channel in dead.items():
        named = any(other[0] == key[0] and other in dead for other in holders.get(key, ()))
        if key in seen or named or (all_in and not _is_like(channel, includes)):
            continue
        if not any(holds(meter, channel, holders) for meter in includes):
            yield channel


def _is_like(channel: Channel, includes: Sequence[Channel]) -> bool:
    """Tell whether a sensor is of the same sort as those that make up the sum: one supply of two, one meter of two."""
    return any((channel.device.kind, channel.domain) == (one.device.kind, one.domain) for one in includes) or (
        channel.device.kind is Kind.PSU and any(one.device.kind is Kind.PSU for one in includes)
    )


def _is_in(device: Device, channels: Sequence[Channel], includes: Sequence[Channel], holders: Holders) -> bool:
    """Return whether a device without a sensor of its own is in the sum.

    A processor is where a sensor has a name of its own for it, is of its dies, or of something around it. An
    accelerator is where its channels name a module whose meter, or a rail of which, is in the sum.
    """
    if device.kind is not Kind.CPU:
        outer = tuple(key for channel in channels if channel.device.id == device.id for key in channel.contained_in)
        return any(holds(one, Channel(device, "board", "power_watts", contained_in=outer), holders) for one in includes)
    stand_in = replace(Channel(device, "package", "power_watts"), source=Source.ESTIMATED)
    return any(_has(one, stand_in, holders) for one in includes)


def _has(one: Channel, processor: Channel, holders: Holders) -> bool:
    if one.device.kind is Kind.CPU:
        return not one.device.id.startswith("package-") or one.device.id.startswith(f"{processor.device.id}-die-")
    return is_socket(one) or holds(one, processor, holders)
