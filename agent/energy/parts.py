"""The kinds of parts of a host, each as measured, contained, modeled or missing in its total; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.energy.containment import ACCELERATORS, containers_among, contains, is_module
from agent.energy.counted_sensors import DUPLICATE, LOSSES, REST, UNFED, Boundary
from agent.energy.missing_sensors import UNMEASURED, is_covered
from probes.model import ENERGY_METRICS, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent.energy.containment import Containment, Key
    from agent.energy.counted_sensors import Coverage
    from probes.model import Channel, Device

_MEMORY = "memory"
_COMPUTING = (Kind.CPU, *sorted(ACCELERATORS))
_KINDS = {"processors": frozenset({Kind.CPU}), "accelerators": ACCELERATORS}
_WHOLE = frozenset({Boundary.WALL, Boundary.NODE})


class PartState(StrEnum):
    """The way in which a total has a part: by its own sensor, inside a larger meter, by a model, or not at all."""

    MEASURED = "measured"
    CONTAINED = "contained"
    MODELED = "modeled"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a host: a processor or accelerator by its id, or a kind of part such as `memory`.

    `kind` is the kind of the device, `host` for the parts that are no device. `sensors` are the (device, domain) of the
    total that measure, contain or model it.
    """

    name: str
    kind: Kind
    state: PartState
    sensors: tuple[Key, ...] = ()


def parts(covered: Coverage, channels: Iterable[Channel]) -> tuple[Part, ...]:
    """Return the parts of a host with a total, from all channels, also those of devices without an energy sensor."""
    found = tuple(channels)
    containers = containers_among((*found, *covered.includes))
    own: dict[str, list[Channel]] = {}
    for channel in found:
        if channel.device.kind in _COMPUTING:
            own.setdefault(channel.device.id, []).append(channel)
    devices = sorted((each[0].device for each in own.values()), key=lambda each: _COMPUTING.index(each.kind))
    rows = [_device(each, own[each.id], covered, found, containers) for each in devices]
    return (*rows, *_memory(covered), *_rest(covered, REST), *_rest(covered, LOSSES), *_others(covered, devices))


def _device(
    device: Device, own: Sequence[Channel], covered: Coverage, channels: Sequence[Channel], containers: Containment
) -> Part:
    counted = [each for each in covered.includes if each.device.id == device.id]
    if counted:
        return Part(device.id, device.kind, _state_of(counted), _places(counted))
    outer = [each for each in covered.includes if _holds(each, device, own, channels, containers)]
    if not outer and _is_whole(covered) and covered.includes[0].domain != "psys":
        outer = list(covered.includes)
    if not outer:
        return Part(device.id, device.kind, PartState.MISSING)
    state = PartState.CONTAINED if _state_of(outer) is PartState.MEASURED else PartState.MODELED
    return Part(device.id, device.kind, state, _places(outer))


def _holds(
    meter: Channel, device: Device, own: Sequence[Channel], channels: Sequence[Channel], containers: Containment
) -> bool:
    """Return whether a meter of the total contains a device: by its sensors, by its statement, or by its kind."""
    sensed = [each for each in own if each.metric in ENERGY_METRICS]
    if any(contains(meter, each, containers) for each in sensed):
        return True
    if any(meter.place in each.contained_in for each in own):
        return meter.source is Source.MEASURED or device.kind is Kind.CPU
    return not sensed and is_covered(device, channels, (meter,), containers)


def _memory(covered: Coverage) -> Iterator[Part]:
    sensors = [each for each in covered.includes if each.domain == "dram" or each.device.kind is Kind.MEMORY]
    if sensors:
        yield Part(_MEMORY, Kind.MEMORY, PartState.MEASURED, _places(sensors))
    if _MEMORY in covered.not_covered or not covered.includes:
        yield Part(_MEMORY, Kind.MEMORY, PartState.MISSING)
    elif not sensors and UNFED not in covered.not_covered:
        meters = [each for each in covered.includes if each.device.kind not in _COMPUTING or is_module(each)]
        yield Part(_MEMORY, Kind.MEMORY, _inside(covered), _places(meters or covered.includes))


def _rest(covered: Coverage, name: str) -> Iterator[Part]:
    missing = name in covered.not_covered or not covered.includes
    state = PartState.MISSING if missing else _inside(covered)
    yield Part(name, Kind.HOST, state, () if missing else _places(covered.includes))


def _others(covered: Coverage, devices: Sequence[Device]) -> Iterator[Part]:
    """Yield what else the total lacks: sensors that show nothing, parts that may not be wired to a meter."""
    known = {_MEMORY, REST, LOSSES, *(f"{device.id}{UNMEASURED}" for device in devices)}
    kinds = {device.kind for device in devices}
    for text in covered.not_covered if covered.includes else ():
        if text in _KINDS and not kinds & _KINDS[text]:
            yield Part(text, min(_KINDS[text], key=_COMPUTING.index), PartState.MISSING)
        elif text not in {*known, *_KINDS} and DUPLICATE not in text:
            yield Part(text, Kind.HOST, PartState.MISSING)


def _is_whole(covered: Coverage) -> bool:
    return covered.boundary in _WHOLE and _state_of(covered.includes) is PartState.MEASURED


def _inside(covered: Coverage) -> PartState:
    return PartState.CONTAINED if _state_of(covered.includes) is PartState.MEASURED else PartState.MODELED


def _state_of(channels: Iterable[Channel]) -> PartState:
    estimated = any(each.source is Source.ESTIMATED for each in channels)
    return PartState.MODELED if estimated else PartState.MEASURED


def _places(channels: Iterable[Channel]) -> tuple[Key, ...]:
    return tuple(each.place for each in channels)
