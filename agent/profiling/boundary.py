"""Which sensors add up to the host's energy, so that each joule is counted once; pure.

Domains nest: psys holds the packages and their memory, a package its cores, a board its chips, a wall meter everything.
The total is the outermost set of channels that do not contain one another, and it says what no sensor covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from probes.model import Channel, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Key = tuple[str, str]
"""(device id, domain)."""

_ACCELERATORS = frozenset({Kind.GPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR})
_PREFERENCE = ("energy_joules", "power_watts")


class Boundary(StrEnum):
    """What a total covers. `components` is processors, memory and accelerators, each by its own sensor."""

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


def best_channels(channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Return one channel for each (device, domain) that has energy or power: its counter where there is one."""
    best: dict[Key, Channel] = {}
    for channel in channels:
        if channel.metric not in _PREFERENCE:
            continue
        key = (channel.device.id, channel.domain)
        if key not in best or _PREFERENCE.index(channel.metric) < _PREFERENCE.index(best[key].metric):
            best[key] = channel
    return tuple(best.values())


def coverage(channels: Iterable[Channel]) -> Coverage:
    """Choose the channels that make up the host total.

    A wall meter stands for everything. psys stands for the packages and memory below it, but not where an accelerator
    has a sensor of its own: whether psys sees a card depends on how the board is wired, so there the parts are added
    and psys is left beside them.
    """
    best = best_channels(channels)
    roots = _outermost(best)
    wall = tuple(channel for channel in roots if channel.domain == "wall")
    if wall:
        meters = tuple(channel for channel in wall if channel.device.kind is Kind.BOARD)[:1]
        return Coverage(Boundary.WALL, meters or wall, ())
    if any(channel.device.kind in _ACCELERATORS for channel in roots):
        parts = _outermost(tuple(channel for channel in best if channel.domain != "psys"))
        if any(channel.device.kind is Kind.CPU for channel in parts):
            roots = parts
    boundary = _boundary(roots)
    return Coverage(boundary, roots, _not_covered(boundary, roots))


def _estimated_alone(roots: Sequence[Channel]) -> bool:
    """The model behind an estimate is of whole servers at the wall, so such a total leaves nothing out."""
    return bool(roots) and all(channel.source is Source.ESTIMATED for channel in roots)


def _outermost(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    present = {(channel.device.id, channel.domain): channel for channel in channels}
    return tuple(channel for key, channel in present.items() if not _holders(channel, present) - {key})


def _holders(channel: Channel, present: Mapping[Key, Channel]) -> set[Key]:
    return {key for key in channel.contained_in if key in present}


def _boundary(roots: Sequence[Channel]) -> Boundary:
    kinds = {channel.device.kind for channel in roots}
    if not roots:
        return Boundary.NONE
    if _estimated_alone(roots):
        return Boundary.WALL
    if any(channel.domain == "psys" for channel in roots):
        return Boundary.NODE
    if kinds <= _ACCELERATORS:
        return Boundary.ACCELERATOR
    return Boundary.COMPONENTS if kinds & _ACCELERATORS else Boundary.PACKAGE


def _not_covered(boundary: Boundary, roots: Sequence[Channel]) -> tuple[str, ...]:
    if boundary is Boundary.NONE:
        return ("the whole host: nothing here measures power",)
    if boundary is Boundary.WALL:
        return ()
    missing = []
    if boundary is Boundary.ACCELERATOR:
        missing.append("processors")
    if boundary is not Boundary.NODE:
        if not any(channel.domain in {"dram", "module"} for channel in roots):
            missing.append("memory")
        missing.append("board, disks, network and fans")
    missing.append("power supply losses")
    return tuple(missing)
