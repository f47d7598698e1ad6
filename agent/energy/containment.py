"""The containment of sensors: whether the energy of one is part of the energy of another; pure.

A channel names its containers; their containers contain it as well, even if their own sensors are absent or broken. The
rules of `contains` are for meters of modules, sockets and rails, which name their parts by kind, and which no single
probe can relate to the sensors of other probes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from probes.model import Channel, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Key = tuple[str, str]
"""A device's id and a domain of it."""
Containment = dict[Key, frozenset[Key]]
"""All containers of each (device, domain), direct and indirect."""

ACCELERATORS = frozenset({Kind.GPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR})
BOARDS = frozenset({Kind.BOARD, Kind.HOST})
SOME_MODULE = ("module", "module")
"""The stated container of a chip on a module that it cannot name."""
_MODULE = frozenset({"module", "package"})
_NUMBERED = re.compile(r"(?:module|package)-(\d+)(?:-die-\d+)?")


def containers_among(channels: Iterable[Channel]) -> Containment:
    """Return all containers of each (device, domain), direct and indirect."""
    direct: dict[Key, set[Key]] = {}
    for channel in channels:
        direct.setdefault(channel.place, set()).update(channel.contained_in)
    return {key: _transitive_containers(key, direct) for key in direct}


def _transitive_containers(start: Key, direct: Mapping[Key, set[Key]]) -> frozenset[Key]:
    found: set[Key] = set()
    waiting = [start]
    for key in waiting:
        new = direct.get(key, set()) - found
        found |= new
        waiting += new
    return frozenset(found - {start})


def root_channels(channels: Sequence[Channel], containers: Containment) -> tuple[Channel, ...]:
    """Return the channels that no other of these channels contains."""
    present = {channel.place: channel for channel in channels}

    def is_contained(channel: Channel) -> bool:
        outer = (present[key] for key in containers.get(channel.place, ()) if key in present)
        return any(_can_contain(container, channel) for container in outer)

    return tuple(channel for channel in channels if not is_contained(channel))


def contains(meter: Channel, channel: Channel, containers: Containment) -> bool:
    """Return whether `meter` includes the energy of `channel`: as the channel states, or by the kind of meter."""
    if meter.place in {*channel.contained_in, *containers.get(channel.place, ())}:
        return _can_contain(meter, channel)
    if is_module(meter):
        return _module_contains(meter, channel)
    if is_socket(meter):
        return channel.device.kind is Kind.CPU or bool(
            containers.get(channel.place, frozenset()) & {*meter.contained_in}
        )
    if meter.domain == "psys":
        return _is_processors(channel, containers)
    return meter.device.kind in BOARDS and _rail_contains(meter, channel)


def is_module(channel: Channel) -> bool:
    """Return whether this meter covers a module: processors and the accelerators soldered beside them."""
    if channel.device.kind in BOARDS:
        return channel.domain in _MODULE
    return channel.device.kind is Kind.GPU and channel.domain == "module"


def is_socket(channel: Channel) -> bool:
    """Return whether the meter of an accelerator covers the whole socket with its processor (AMD's APUs)."""
    return channel.device.kind in ACCELERATORS and channel.domain == "socket"


def is_of_processor(meter: Channel) -> bool:
    """Return whether the name of a rail contains a processor."""
    return bool(_words(meter) & {"cpu", "soc"})


def _is_processors(channel: Channel, containers: Containment) -> bool:
    """Return whether this is a processor, its memory, or a part of it such as an NPU."""
    own = {channel.place, *containers.get(channel.place, ())}
    return channel.device.kind in {Kind.CPU, Kind.MEMORY} or any(device.startswith("package-") for device, _ in own)


def _can_contain(container: Channel, channel: Channel) -> bool:
    """An estimate includes the parts of its processor but no accelerator: the model is of servers without one."""
    return container.source is Source.MEASURED or channel.device.kind not in ACCELERATORS


def _module_contains(meter: Channel, channel: Channel) -> bool:
    """Return whether a chip is on the module of this meter.

    A chip names its module, or states that it is on one. An estimated processor states nothing and is on the module of
    its own number. A meter without a number covers the only module. If a GPU reports the power of an unnamed module,
    any module meter of a board can be the meter of that module.
    """
    said = _modules_of(channel)
    own = _modules_of(meter) | {meter.place}
    numbers = {match[1] for device, _ in own if (match := _NUMBERED.fullmatch(device))}
    if channel.device.kind is Kind.CPU and channel.source is Source.ESTIMATED:
        match = _NUMBERED.fullmatch(channel.device.id)
        return not numbers or match is None or match[1] in numbers
    is_only_one = not numbers and (meter.device.kind in BOARDS or channel.device.kind is Kind.CPU)
    if is_module(channel) and not said:
        return meter.device.kind in BOARDS and channel.device.kind is Kind.GPU
    return SOME_MODULE in said or bool(said & own) or (is_only_one and bool(said))


def _modules_of(channel: Channel) -> set[Key]:
    return {key for key in channel.contained_in if key[1] == "module"}


def _rail_contains(meter: Channel, channel: Channel) -> bool:
    """A rail named after the processor feeds it; one named after a GPU feeds the GPU soldered to the board.

    A node controller measures each accelerator of the node, and no file states which one a meter belongs to.
    """
    if channel.device.kind is Kind.CPU:
        return is_of_processor(meter)
    if "accel" in _words(meter):
        return channel.device.kind in ACCELERATORS
    return channel.device.kind is Kind.GPU and "gpu" in _words(meter) and bool(_modules_of(channel))


def _words(channel: Channel) -> set[str]:
    return set(re.split("[-_]", channel.domain))
