"""Selects the sensors that add up to the energy of the host, so that each joule counts once; pure.

Domains nest: psys contains the packages and their memory, a package its cores, a module its chips, a wall meter
everything. `contained_in` of a channel has the nesting within its probe; the rules here are for sensors of different
probes. The total is the outermost set of channels that do not contain one another; it lists the parts without a sensor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.energy.containment import (
    ACCELERATORS,
    BOARDS,
    containers_among,
    contains,
    is_module,
    is_of_processor,
    is_socket,
    root_channels,
)
from agent.energy.duplicates import find_duplicates
from agent.energy.missing_sensors import devices_without_sensor, missing_sensors
from probes.meters.device import FEED, RACK, supplies_of
from probes.model import ENERGY_METRICS, Channel, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agent.energy.containment import Containment, Key
    from store.records import Series

# The domains of a board's meter of the whole node.
_NODE = frozenset({"sys_total", "dc_input", "total", "node"})

# The step of a counter from which the power summed over time is better in windows of minutes.
_COARSE_JOULES = 1_000.0

# The time and number of samples from which an unchanged sensor counts as dead.
_DEAD_SECONDS = 1.0
_DEAD_SAMPLES = 10

_COMPUTING = frozenset({Kind.CPU, *ACCELERATORS})
UNFED = "what these rails do not feed"
DUPLICATE = " (a duplicate of "
_NOTHING = "the whole host: nothing here measures power"
_KINDS_NAMED_BY = {"processors": frozenset({Kind.CPU}), "accelerators": ACCELERATORS, _NOTHING: _COMPUTING}
REST, LOSSES = "board, disks, network and fans", "power supply losses"
_REST = (REST, LOSSES)


class Boundary(StrEnum):
    """The extent of a total.

    `node` is everything behind the power supplies. `components` is processors, memory and accelerators, each by its
    own sensor or by the meter of its module.
    """

    WALL = "wall"
    NODE = "node"
    COMPONENTS = "components"
    PACKAGE = "package"
    ACCELERATOR = "accelerator"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Coverage:
    """The channels of the total, its extent, and the parts of the host without a sensor."""

    boundary: Boundary
    includes: tuple[Channel, ...]
    not_covered: tuple[str, ...]


def rank(channel: Channel) -> tuple[bool, int, bool, float]:
    """Return the sort key of the channels of one (device, domain), the best first.

    Measured precedes estimated, a counter precedes a gauge and a counter of steps above 1 kJ, and a short refresh
    period precedes a long one.
    """
    estimated = channel.source is Source.ESTIMATED
    refresh = channel.refresh_seconds
    is_counter, is_coarse = channel.metric == "energy_joules", channel.resolution > _COARSE_JOULES
    return estimated, 2 if is_counter and is_coarse else int(not is_counter), not refresh, refresh


def best_channels(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Return one channel for each (device, domain) that has energy or power, the best by `rank`."""
    best: dict[tuple[str, str], Channel] = {}
    for channel in channels:
        if channel.metric in ENERGY_METRICS:
            key = channel.place
            if key not in best or rank(channel) < rank(best[key]):
                best[key] = channel
    return tuple(best.values())


def name_of(key: Key) -> str:
    """Return the displayed name of a sensor: device/domain."""
    return "/".join(key)


def coverage(channels: Iterable[Channel], silent: Iterable[Channel] = ()) -> Coverage:
    """Select the channels of the host total: the meter with the largest extent, else the parts.

    `silent` are the channels whose sensors show nothing: they are not added, and the parts missing with them are named.
    """
    active, silent = _of_host(channels), _of_host(silent)
    best = best_channels(active)
    containers = containers_among((*best_channels((*silent, *active)), *best))
    roots = root_channels(best, containers)
    feeds = tuple(channel for channel in roots if channel.domain == FEED)
    if feeds and len(feeds) < supplies_of(feeds):
        covered = coverage([channel for channel in active if channel.domain != FEED], silent)
        words = tuple(f"{name_of(one.place)} (the meter of another supply shows nothing)" for one in feeds)
        return replace(covered, not_covered=(*words, *covered.not_covered))
    whole = _feeds(feeds) or _wall(roots) or _supplies(roots) or _node(roots)
    found = whole or _psys(best, roots, containers) or _parts(roots, containers)
    words = missing_sensors(found.includes, active, silent, containers, covers_host=whole is not None)
    if whole is None:
        said = frozenset[Kind]().union(*(_KINDS_NAMED_BY.get(word, ()) for word in found.not_covered))
        words += devices_without_sensor(found.includes, (*active, *silent), containers, _COMPUTING - said)
    return replace(found, not_covered=(*words, *found.not_covered))


def best_series(series: Iterable[Series]) -> tuple[Series, ...]:
    """Return one series for each (device, domain), the best by `rank` among those with samples, if there are any."""
    best: dict[tuple[str, str], Series] = {}
    for each in series:
        if each.channel.metric in ENERGY_METRICS:
            key = each.channel.place
            if key not in best or _series_rank(each) < _series_rank(best[key]):
                best[key] = each
    return tuple(best.values())


def _series_rank(series: Series) -> tuple[bool, tuple[bool, int, bool, float]]:
    return not series.times_ns, rank(series.channel)


def cover(series: Iterable[Series], devices: Iterable[Channel] = ()) -> Coverage:
    """Select the channels of the host total by the values of their sensors.

    A sensor without samples (its device is suspended) or without a change (a zone that the hardware does not fill)
    covers and contains nothing; the missing part is named. If no sensor shows anything, all are taken. A sensor with
    the values of another is a duplicate. `devices` are further channels of the host, so that devices without an energy
    sensor are named too.
    """
    found = tuple(each for each in series if each.channel.metric in ENERGY_METRICS and _of_host((each.channel,)))
    others = tuple(channel for channel in devices if channel.metric not in ENERGY_METRICS)
    silent = tuple(each.channel for each in found if is_dead(each))
    if len(silent) == len(found):
        return coverage((*silent, *others))
    reporting = [each for each in found if each.channel not in silent]
    duplicates = find_duplicates(reporting, containers_among(each.channel for each in found))
    active = [each.channel for each in reporting if each.channel.place not in duplicates]
    channels = [_with_duplicate_containers(channel, duplicates) for channel in (*active, *others)]
    covered = coverage(channels, [_with_duplicate_containers(channel, duplicates) for channel in silent])
    added = {channel.place for channel in covered.includes}
    words = [f"{name_of(mine)}{DUPLICATE}{name_of(its)})" for mine, its in duplicates.items() if its in added]
    return replace(covered, not_covered=(*words, *covered.not_covered))


def _with_duplicate_containers(channel: Channel, duplicates: Mapping[Key, Key]) -> Channel:
    """Return a channel of a duplicate's contents as contained in the original too."""
    outer = tuple(duplicates[key] for key in channel.contained_in if key in duplicates)
    return replace(channel, contained_in=(*channel.contained_in, *outer)) if outer else channel


def is_dead(series: Series) -> bool:
    """Return whether a sensor shows nothing: it has no samples, or it did not change over a while."""
    times, values = series.times_ns, series.values
    if not times:
        return True
    dead_ns = max(_DEAD_SECONDS, _DEAD_SAMPLES * series.channel.refresh_seconds) * 1e9
    if series.channel.metric == "energy_joules":
        still = values[0] == values[-1]
    else:
        still = not any(values) and not any(stretch.highest for stretch in series.segments)
    return still and len(times) >= _DEAD_SAMPLES and times[-1] - times[0] >= dead_ns


def _of_host(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Return the channels without those of a whole rack, which measure other hosts too."""
    return tuple(channel for channel in channels if channel.domain != RACK)


def _feeds(meters: Sequence[Channel]) -> Coverage | None:
    """Return the total by the meters before all supplies of the host, one before each."""
    return Coverage(Boundary.WALL, tuple(meters), ()) if meters else None


def _wall(roots: Sequence[Channel]) -> Coverage | None:
    """Return the total by a meter of the whole host; of several, which may measure the same power, one counts.

    A plug or another external meter precedes the meter of a board, which may leave out a supply.
    """
    meters = [channel for channel in roots if channel.domain == "wall" and channel.device.kind in BOARDS]
    if not meters:
        return None
    meters.sort(key=lambda meter: (meter.device.kind is not Kind.HOST, meter.device.id))
    others = tuple(f"anything that {meter.device.id} measures beside {meters[0].device.id}" for meter in meters[1:])
    return Coverage(Boundary.WALL, (meters[0],), others)


def _supplies(roots: Sequence[Channel]) -> Coverage | None:
    """Return the total by all power supplies: at the wall if each has an input meter."""
    meters = tuple(channel for channel in roots if channel.device.kind is Kind.PSU)
    if not meters:
        return None
    if all(meter.domain == "wall" for meter in meters):
        return Coverage(Boundary.WALL, meters, ())
    return Coverage(Boundary.NODE, meters, (LOSSES,))


def _node(roots: Sequence[Channel]) -> Coverage | None:
    """Return the total by a board's meter of the whole system, behind the power supply."""
    meters = tuple(channel for channel in roots if channel.device.kind in BOARDS and channel.domain in _NODE)
    return Coverage(Boundary.NODE, meters, (LOSSES,)) if meters else None


def _psys(best: Sequence[Channel], roots: Sequence[Channel], containers: Containment) -> Coverage | None:
    """Return the total by psys: processors, memory, and the rest of the board as far as it is wired to psys.

    psys may or may not include a card that has a sensor of its own. With such a card the parts are added instead of
    psys; without other parts psys alone counts, so that no card counts twice.
    """
    meters = tuple(channel for channel in roots if channel.domain == "psys")
    if not meters:
        return None
    parts = root_channels([channel for channel in best if channel.domain != "psys"], containers)
    cards = [channel for channel in parts if channel.device.kind in ACCELERATORS]
    if cards and any(channel.device.kind is Kind.CPU for channel in parts):
        return _parts(parts, containers)
    unseen = tuple(f"{card.path}, if it is not wired to psys" for card in cards if card in roots)
    return Coverage(Boundary.NODE, meters, (*unseen, "parts that are not wired to psys", LOSSES))


def _parts(roots: Sequence[Channel], containers: Containment) -> Coverage:
    """Return the total of processors, memory and accelerators, without those that a module, socket or rail includes."""
    wholes = _wholes(roots, containers)
    rest = [one for one in roots if one in wholes or not any(contains(whole, one, containers) for whole in wholes)]
    rails = [channel for channel in rest if channel.device.kind in BOARDS and channel not in wholes]
    others = [channel for channel in rest if channel not in rails]
    module = any(is_module(whole) for whole in wholes)
    # A rail at an unknown place may feed a part that has a sensor.
    if not rails or wholes or any(_is_measured_processor(channel) for channel in others):
        return _added(others, module=module)
    if others and not any(is_of_processor(rail) for rail in rails):
        return _added(others)
    beside = [channel for channel in others if not any(contains(rail, channel, containers) for rail in rails)]
    return Coverage(Boundary.COMPONENTS, (*rails, *beside), (UNFED, *_REST))


def _wholes(roots: Sequence[Channel], containers: Containment) -> list[Channel]:
    """Return the meters of modules and sockets, one for each module; a board's meter precedes the report of a GPU."""
    found: list[Channel] = []
    for channel in sorted(roots, key=lambda one: (one.device.kind not in BOARDS, one.place)):
        is_whole = is_module(channel) or is_socket(channel)
        if is_whole and not any(contains(whole, channel, containers) for whole in found):
            found.append(channel)
    return found


def _is_measured_processor(channel: Channel) -> bool:
    return channel.device.kind is Kind.CPU and channel.source is Source.MEASURED


def _added(channels: Sequence[Channel], *, module: bool = False) -> Coverage:
    """Return the total of parts with its boundary; `module` states that one of them is the meter of a module."""
    includes = tuple(channels)
    if not includes:
        return Coverage(Boundary.NONE, (), (_NOTHING,))
    processors = [channel for channel in includes if channel.device.kind is Kind.CPU or is_socket(channel)]
    cards = any(channel.device.kind in ACCELERATORS and not is_socket(channel) for channel in includes)
    if any(channel.source is Source.ESTIMATED for channel in processors):
        # The model is of whole servers at the wall, without accelerators.
        if cards:
            return Coverage(Boundary.COMPONENTS, includes, ("power supply losses of the accelerators",))
        return Coverage(Boundary.WALL, includes, ("accelerators",))
    if module:
        return Coverage(Boundary.COMPONENTS, includes, _REST)
    if not processors:
        return Coverage(Boundary.ACCELERATOR, includes, ("processors", "memory", *_REST))
    boundary = Boundary.COMPONENTS if cards else Boundary.PACKAGE
    return Coverage(boundary, includes, _REST if _has_memory(processors) else ("memory", *_REST))


def _has_memory(processors: Collection[Channel]) -> bool:
    """Return whether the memory of every processor has a sensor."""
    with_memory = {channel.device.id for channel in processors if channel.domain == "dram"}
    return all(channel.device.id in with_memory for channel in processors)
