"""Which sensors add up to the host's energy, so that each joule is counted once; pure.

Domains nest: psys holds the packages and their memory, a package its cores, a module its chips, a wall meter all. What
a probe knows of that stands in its channels' `contained_in`; the rules here are for what no probe can know of another.
The total is the outermost set of channels that do not hold one another, and it says what no sensor covers.
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
from agent.energy.coverage import devices_without_sensor, missing_sensors
from agent.energy.duplicates import find_duplicates
from probes.model import ENERGY_METRICS, Channel, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agent.energy.containment import Containment, Key
    from store.records import Series

# Domains of a board's meter of the whole node.
_NODE = frozenset({"sys_total", "dc_input", "total", "node"})

# From how long on, and how many samples, a sensor that never moved is taken to be dead.
_DEAD_SECONDS = 1.0
_DEAD_SAMPLES = 10

_COMPUTING = frozenset({Kind.CPU, *ACCELERATORS})
_NOTHING = "the whole host: nothing here measures power"
_KINDS_NAMED_BY = {"processors": frozenset({Kind.CPU}), "accelerators": ACCELERATORS, _NOTHING: _COMPUTING}
_REST = ("board, disks, network and fans", "power supply losses")


class Boundary(StrEnum):
    """What a total covers.

    `node` is everything behind the power supplies. `components` is processors, memory and accelerators, each by its
    own sensor or by their module's.
    """

    WALL = "wall"
    NODE = "node"
    COMPONENTS = "components"
    PACKAGE = "package"
    ACCELERATOR = "accelerator"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Coverage:
    """The channels that are added, what their sum covers, and what no sensor covers."""

    boundary: Boundary
    includes: tuple[Channel, ...]
    not_covered: tuple[str, ...]


def rank(channel: Channel) -> tuple[bool, bool, bool, float]:
    """Return what to sort the channels of one (device, domain) by, the best first.

    Measured goes before estimated, a counter before a gauge, and of two like these the one that refreshes faster.
    """
    estimated = channel.source is Source.ESTIMATED
    refresh = channel.refresh_seconds
    return estimated, channel.metric != "energy_joules", not refresh, refresh


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
    """Return what a sensor is called where it is named to people: device/domain."""
    return "/".join(key)


def coverage(channels: Iterable[Channel], silent: Iterable[Channel] = ()) -> Coverage:
    """Choose the channels that make up the host total: the widest meter there is, else the parts.

    `silent` are the channels whose sensors show nothing: they are not added, and what is missing with them is named.
    """
    active, silent = tuple(channels), tuple(silent)
    best = best_channels(active)
    containers = containers_among((*best_channels((*silent, *active)), *best))
    roots = root_channels(best, containers)
    whole = _wall(roots) or _supplies(roots) or _node(roots)
    found = whole or _psys(best, roots, containers) or _parts(roots, containers)
    words = missing_sensors(found.includes, active, silent, containers, covers_host=whole is not None)
    if whole is None:
        said = frozenset[Kind]().union(*(_KINDS_NAMED_BY.get(word, ()) for word in found.not_covered))
        words += devices_without_sensor(found.includes, (*active, *silent), containers, _COMPUTING - said)
    return replace(found, not_covered=(*words, *found.not_covered))


def best_series(series: Iterable[Series]) -> tuple[Series, ...]:
    """Return one series for each (device, domain), the best by `rank` among those that hold samples, if any do."""
    best: dict[tuple[str, str], Series] = {}
    for each in series:
        if each.channel.metric in ENERGY_METRICS:
            key = each.channel.place
            if key not in best or _series_rank(each) < _series_rank(best[key]):
                best[key] = each
    return tuple(best.values())


def _series_rank(series: Series) -> tuple[bool, tuple[bool, bool, bool, float]]:
    return not series.times_ns, rank(series.channel)


def cover(series: Iterable[Series], devices: Iterable[Channel] = ()) -> Coverage:
    """Choose the channels that make up the host total by what their sensors showed.

    A sensor that gave no sample (its device sleeps) or never moved (a zone the hardware does not fill) stands for
    nothing and holds nothing; what is missing with it is named. Where no sensor shows anything, all are taken. One
    that shows what another shows is the same once more. `devices` are further channels of the host, so that a device
    without any sensor of its energy is named too.
    """
    found = tuple(each for each in series if each.channel.metric in ENERGY_METRICS)
    others = tuple(channel for channel in devices if channel.metric not in ENERGY_METRICS)
    silent = tuple(each.channel for each in found if _is_dead(each))
    if len(silent) == len(found):
        return coverage((*silent, *others))
    reporting = [each for each in found if each.channel not in silent]
    duplicates = find_duplicates(reporting, containers_among(each.channel for each in found))
    active = [each.channel for each in reporting if each.channel.place not in duplicates]
    channels = [_with_duplicate_containers(channel, duplicates) for channel in (*active, *others)]
    covered = coverage(channels, [_with_duplicate_containers(channel, duplicates) for channel in silent])
    added = {channel.place for channel in covered.includes}
    words = [
        f"{name_of(mine)} (it shows what {name_of(its)} shows)" for mine, its in duplicates.items() if its in added
    ]
    return replace(covered, not_covered=(*words, *covered.not_covered))


def _with_duplicate_containers(channel: Channel, duplicates: Mapping[Key, Key]) -> Channel:
    """Let what a mirror holds be held by what it mirrors."""
    outer = tuple(duplicates[key] for key in channel.contained_in if key in duplicates)
    return replace(channel, contained_in=(*channel.contained_in, *outer)) if outer else channel


def _is_dead(series: Series) -> bool:
    times, values = series.times_ns, series.values
    if not times:
        return True
    dead_ns = max(_DEAD_SECONDS, _DEAD_SAMPLES * series.channel.refresh_seconds) * 1e9
    if series.channel.metric == "energy_joules":
        still = values[0] == values[-1]
    else:
        still = not any(values) and not any(stretch.highest for stretch in series.segments)
    return still and len(times) >= _DEAD_SAMPLES and times[-1] - times[0] >= dead_ns


def _wall(roots: Sequence[Channel]) -> Coverage | None:
    """A board's own wall meter stands for everything; of several, which may see the same, one does."""
    meters = [channel for channel in roots if channel.domain == "wall" and channel.device.kind in BOARDS]
    if not meters:
        return None
    meters.sort(key=lambda meter: meter.device.id)
    others = tuple(f"what {meter.device.id} may see beside {meters[0].device.id}" for meter in meters[1:])
    return Coverage(Boundary.WALL, (meters[0],), others)


def _supplies(roots: Sequence[Channel]) -> Coverage | None:
    """All power supplies together stand for everything: at the wall where each has a meter of its input."""
    meters = tuple(channel for channel in roots if channel.device.kind is Kind.PSU)
    if not meters:
        return None
    if all(meter.domain == "wall" for meter in meters):
        return Coverage(Boundary.WALL, meters, ())
    return Coverage(Boundary.NODE, meters, ("power supply losses",))


def _node(roots: Sequence[Channel]) -> Coverage | None:
    """A board's meter of the whole system stands for all that is behind the power supply."""
    meters = tuple(channel for channel in roots if channel.device.kind in BOARDS and channel.domain in _NODE)
    return Coverage(Boundary.NODE, meters, ("power supply losses",)) if meters else None


def _psys(best: Sequence[Channel], roots: Sequence[Channel], containers: Containment) -> Coverage | None:
    """Let psys stand for processors and memory, and for the rest of the board as far as that is wired to it.

    Whether it sees a card that has a sensor of its own cannot be known, so with one the parts are added instead and
    psys is left beside them; without parts it stands alone rather than that a card is counted twice.
    """
    meters = tuple(channel for channel in roots if channel.domain == "psys")
    if not meters:
        return None
    parts = root_channels([channel for channel in best if channel.domain != "psys"], containers)
    cards = [channel for channel in parts if channel.device.kind in ACCELERATORS]
    if cards and any(channel.device.kind is Kind.CPU for channel in parts):
        return _parts(parts, containers)
    unseen = tuple(f"{card.path}, if it is not wired to psys" for card in cards if card in roots)
    return Coverage(Boundary.NODE, meters, (*unseen, "parts that are not wired to psys", "power supply losses"))


def _parts(roots: Sequence[Channel], containers: Containment) -> Coverage:
    """Add processors, memory and accelerators, leaving out what the meter of a module, a socket or rails holds."""
    wholes = _wholes(roots, containers)
    rest = [one for one in roots if one in wholes or not any(contains(whole, one, containers) for whole in wholes)]
    rails = [channel for channel in rest if channel.device.kind in BOARDS and channel not in wholes]
    others = [channel for channel in rest if channel not in rails]
    module = any(is_module(whole) for whole in wholes)
    # Beside sensors of known parts, a rail of unknown place may feed one of them.
    if not rails or wholes or any(_is_measured_processor(channel) for channel in others):
        return _added(others, module=module)
    if others and not any(is_of_processor(rail) for rail in rails):
        return _added(others)
    beside = [channel for channel in others if not any(contains(rail, channel, containers) for rail in rails)]
    return Coverage(Boundary.COMPONENTS, (*rails, *beside), ("what these rails do not feed", *_REST))


def _wholes(roots: Sequence[Channel], containers: Containment) -> list[Channel]:
    """Return the meters of modules and sockets, of several of one module one, a board's before a GPU's report of it."""
    found: list[Channel] = []
    for channel in sorted(roots, key=lambda one: (one.device.kind not in BOARDS, one.place)):
        is_whole = is_module(channel) or is_socket(channel)
        if is_whole and not any(contains(whole, channel, containers) for whole in found):
            found.append(channel)
    return found


def _is_measured_processor(channel: Channel) -> bool:
    return channel.device.kind is Kind.CPU and channel.source is Source.MEASURED


def _added(channels: Sequence[Channel], *, module: bool = False) -> Coverage:
    """Name the sum of parts; `module` says that a module's meter is one of them."""
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
    """Tell whether the memory of every processor has a sensor."""
    with_memory = {channel.device.id for channel in processors if channel.domain == "dram"}
    return all(channel.device.id in with_memory for channel in processors)
