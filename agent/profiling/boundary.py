"""Which sensors add up to the host's energy, so that each joule is counted once; pure.

Domains nest: psys holds the packages and their memory, a package its cores, a module its chips, a wall meter all. What
a probe knows of that stands in its channels' `contained_in`; the rules here are for what no probe can know of another.
The total is the outermost set of channels that do not hold one another, and it says what no sensor covers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from probes.model import Channel, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from store.records import Series

ACCELERATORS = frozenset({Kind.GPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR})
_BOARDS = frozenset({Kind.BOARD, Kind.HOST})
_PREFERENCE = ("energy_joules", "power_watts")
# Domains of a board's meter by what it holds: the whole node, or its processors and their GPUs.
_NODE = frozenset({"sys_total", "dc_input", "total"})
_MODULE = frozenset({"module", "package"})

# From how long on, and how many samples, a sensor that never moved is taken to be dead.
_TELLING_SECONDS = 1.0
_TELLING_SAMPLES = 10

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


def rank(channel: Channel) -> tuple[bool, int, bool, float]:
    """Return what to sort the channels of one (device, domain) by, the best first.

    Measured goes before estimated, a counter before a gauge, and of two like these the one that refreshes faster.
    """
    estimated = channel.source is Source.ESTIMATED
    refresh = channel.refresh_seconds
    return estimated, _PREFERENCE.index(channel.metric), not refresh, refresh


def best_channels(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Return one channel for each (device, domain) that has energy or power, the best by `rank`."""
    best: dict[tuple[str, str], Channel] = {}
    for channel in channels:
        if channel.metric in _PREFERENCE:
            key = (channel.device.id, channel.domain)
            if key not in best or rank(channel) < rank(best[key]):
                best[key] = channel
    return tuple(best.values())


def coverage(channels: Iterable[Channel]) -> Coverage:
    """Choose the channels that make up the host total: the widest meter there is, else the parts."""
    best = best_channels(channels)
    roots = _outermost(best)
    return _wall(roots) or _supplies(roots) or _node(roots) or _psys(best, roots) or _parts(roots)


def best_series(series: Iterable[Series]) -> tuple[Series, ...]:
    """Return one series for each (device, domain), the best by `rank` among those that hold samples, if any do."""
    best: dict[tuple[str, str], Series] = {}
    for each in series:
        if each.channel.metric in _PREFERENCE:
            key = (each.channel.device.id, each.channel.domain)
            if key not in best or _series_rank(each) < _series_rank(best[key]):
                best[key] = each
    return tuple(best.values())


def _series_rank(series: Series) -> tuple[bool, tuple[bool, int, bool, float]]:
    return not series.times_ns, rank(series.channel)


def cover(series: Iterable[Series]) -> Coverage:
    """Choose the channels that make up the host total by what their sensors showed.

    A sensor that gave no sample (its device sleeps) or never moved (a zone the hardware does not fill) stands for
    nothing and holds nothing; what is missing with it is named. Where no sensor shows anything, all are taken.
    """
    found = tuple(series)
    dumb = [each.channel for each in found if _shows_nothing(each)]
    if len(dumb) == len(found):
        return coverage(each.channel for each in found)
    covered = coverage(each.channel for each in found if each.channel not in dumb)
    if covered.boundary in {Boundary.WALL, Boundary.NODE}:
        return covered
    holders = {(channel.device.id, channel.domain) for channel in (*covered.includes, *dumb)}
    lost = (channel for channel in dumb if not holders.intersection(channel.contained_in))
    words = (f"{channel.device.id}/{channel.domain} (its sensor shows nothing)" for channel in lost)
    return Coverage(covered.boundary, covered.includes, (*words, *covered.not_covered))


def _shows_nothing(series: Series) -> bool:
    times, values = series.times_ns, series.values
    if not times:
        return True
    telling_ns = max(_TELLING_SECONDS, _TELLING_SAMPLES * series.channel.refresh_seconds) * 1e9
    still = values[0] == values[-1] if series.channel.metric == "energy_joules" else not any(values)
    return still and len(times) >= _TELLING_SAMPLES and times[-1] - times[0] >= telling_ns


def _outermost(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Leave out what is contained in another; an estimate holds its processor's parts, but no accelerator."""
    present = {(channel.device.id, channel.domain): channel for channel in channels}

    def is_held(channel: Channel) -> bool:
        holders = (present[key] for key in channel.contained_in if key in present)
        return any(
            holder.source is Source.MEASURED or channel.device.kind not in ACCELERATORS
            for holder in holders
            if holder is not channel
        )

    return tuple(channel for channel in channels if not is_held(channel))


def _wall(roots: Sequence[Channel]) -> Coverage | None:
    """A board's own wall meter stands for everything; of several, which may see the same, one does."""
    meters = [channel for channel in roots if channel.domain == "wall" and channel.device.kind in _BOARDS]
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
    meters = tuple(channel for channel in roots if channel.device.kind in _BOARDS and channel.domain in _NODE)
    return Coverage(Boundary.NODE, meters, ("power supply losses",)) if meters else None


def _psys(best: Sequence[Channel], roots: Sequence[Channel]) -> Coverage | None:
    """Let psys stand for processors and memory, and for the rest of the board as far as that is wired to it.

    Whether it sees a card that has a sensor of its own cannot be known, so with one the parts are added instead and
    psys is left beside them; without parts it stands alone rather than that a card is counted twice.
    """
    meters = tuple(channel for channel in roots if channel.domain == "psys")
    if not meters:
        return None
    parts = _outermost([channel for channel in best if channel.domain != "psys"])
    has_cards = any(channel.device.kind in ACCELERATORS for channel in parts)
    if has_cards and any(channel.device.kind is Kind.CPU for channel in parts):
        return _parts(parts)
    return Coverage(Boundary.NODE, meters, ("parts that are not wired to psys", "power supply losses"))


def _parts(roots: Sequence[Channel]) -> Coverage:
    """Add processors, memory and accelerators, leaving out what a module's meter or the rails hold."""
    boards = [channel for channel in roots if channel.device.kind in _BOARDS]
    modules = [channel for channel in boards if channel.domain in _MODULE]
    if modules:
        return _with_modules(modules, roots)
    if any(channel.device.kind is Kind.GPU and channel.domain == "module" for channel in roots):
        return _added([channel for channel in roots if not _on_module(channel) and channel not in boards], module=True)
    measured = [channel for channel in roots if channel.source is Source.MEASURED]
    if boards and not any(channel.device.kind is Kind.CPU for channel in measured):
        return _with_rails(boards, roots)
    # Beside sensors of known parts, a rail of unknown place may feed one of them.
    return _added([channel for channel in roots if channel not in boards])


def _with_modules(modules: Sequence[Channel], roots: Sequence[Channel]) -> Coverage:
    """A board's meter of a module holds its processors and every GPU; other cards stand beside it."""
    beside = [channel for channel in roots if channel.device.kind not in {Kind.GPU, *_BOARDS}]
    return _added([*modules, *(channel for channel in beside if channel.source is Source.MEASURED)], module=True)


def _on_module(channel: Channel) -> bool:
    """Tell whether a processor is in the module whose power a GPU reports: it says so, or is only estimated."""
    said = any(domain == "module" for _, domain in channel.contained_in)
    return channel.device.kind is Kind.CPU and (said or channel.source is Source.ESTIMATED)


def _with_rails(boards: Sequence[Channel], roots: Sequence[Channel]) -> Coverage:
    """Where no processor has a sensor, rails that name it stand for it, and for a GPU if one names that too.

    Rails that name neither count only where there is nothing else at all.
    """
    words = {word for channel in boards for word in re.split("[-_]", channel.domain)}
    others = [channel for channel in roots if channel not in boards]
    if words & {"cpu", "soc"}:
        others = [channel for channel in others if channel.device.kind is not Kind.CPU]
    elif others:
        return _added(others)
    if "gpu" in words:
        others = [channel for channel in others if channel.device.kind is not Kind.GPU]
    missing = ("what these rails do not feed", *_REST)
    return Coverage(Boundary.COMPONENTS, (*boards, *others), missing)


def _added(channels: Sequence[Channel], *, module: bool = False) -> Coverage:
    """Name the sum of parts; `module` says that a module's meter is one of them."""
    includes = tuple(channels)
    if not includes:
        return Coverage(Boundary.NONE, (), ("the whole host: nothing here measures power",))
    processors = [channel for channel in includes if channel.device.kind is Kind.CPU]
    cards = any(channel.device.kind in ACCELERATORS for channel in includes)
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
