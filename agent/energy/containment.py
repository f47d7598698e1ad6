"""Which sensor's energy is part of which other's, by what the channels say and by what no single probe can know; pure.

A channel names what it is contained in; what that is contained in holds it too, whether or not its own sensor is
there or works. The rules of `contains` are for the meters of modules, sockets and rails, which name their parts by
kind.
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
"""Whatever holds each (device, domain), through any number of others."""

ACCELERATORS = frozenset({Kind.GPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR})
BOARDS = frozenset({Kind.BOARD, Kind.HOST})
SOME_MODULE = ("module", "module")
"""What a chip says to be contained in that is soldered to a module it cannot name."""
_MODULE = frozenset({"module", "package"})
_NUMBERED = re.compile(r"(?:module|package)-(\d+)(?:-die-\d+)?")


def containers_among(channels: Iterable[Channel]) -> Containment:
    """Return for each (device, domain) all that its energy is a part of, through any number of steps."""
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
    """Leave out what is contained in another of these channels."""
    present = {channel.place: channel for channel in channels}

    def is_contained(channel: Channel) -> bool:
        outer = (present[key] for key in containers.get(channel.place, ()) if key in present)
        return any(_can_contain(container, channel) for container in outer)

    return tuple(channel for channel in channels if not is_contained(channel))


def contains(meter: Channel, channel: Channel, containers: Containment) -> bool:
    """Tell whether the energy of `channel` is in that of `meter`: because it says so, or by the meter's nature."""
    if meter.place in containers.get(channel.place, ()):
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
    """Tell whether this is the meter of a module: of processors and the accelerators soldered beside them."""
    if channel.device.kind in BOARDS:
        return channel.domain in _MODULE
    return channel.device.kind is Kind.GPU and channel.domain == "module"


def is_socket(channel: Channel) -> bool:
    """Tell whether an accelerator's meter is of the whole socket, the processor in it included (AMD's APUs)."""
    return channel.device.kind in ACCELERATORS and channel.domain == "socket"


def is_of_processor(meter: Channel) -> bool:
    """Tell whether a rail names a processor."""
    return bool(_words(meter) & {"cpu", "soc"})


def _is_processors(channel: Channel, containers: Containment) -> bool:
    """Tell whether this is a processor, its memory, or a part of it such as an NPU."""
    own = {channel.place, *containers.get(channel.place, ())}
    return channel.device.kind in {Kind.CPU, Kind.MEMORY} or any(device.startswith("package-") for device, _ in own)


def _can_contain(container: Channel, channel: Channel) -> bool:
    """An estimate holds its processor's parts, but no accelerator: the model is of servers without one."""
    return container.source is Source.MEASURED or channel.device.kind not in ACCELERATORS


def _module_contains(meter: Channel, channel: Channel) -> bool:
    """Tell whether a chip is on the module of this meter.

    A chip says which module it is on, or that it is on one. An estimated processor says nothing: it is on the module
    of its own number. A meter without a number is that of the only module there is. A GPU's report of its module's
    power that does not say which module it is may be that of any board's meter of one.
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
    """A rail that names the processor feeds it, and one that names a GPU the one that is soldered to the board."""
    if channel.device.kind is Kind.CPU:
        return is_of_processor(meter)
    return channel.device.kind is Kind.GPU and "gpu" in _words(meter) and bool(_modules_of(channel))


def _words(channel: Channel) -> set[str]:
    return set(re.split("[-_]", channel.domain))
