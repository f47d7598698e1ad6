"""The layers of meters of a host, each with the sensors below that account for its power; pure.

A plug or a PDU contains the input of the power supplies, that contains everything behind them, psys and the meter of a
module contain processors and accelerators. The layers are those of the total: the total without its outermost meters is
the sum below them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.energy.containment import BOARDS, containers_among, contains, is_module, is_socket
from agent.energy.counted_sensors import Boundary, best_channels, best_series, coverage, is_dead
from agent.energy.duplicates import find_duplicates
from probes.model import Kind, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.energy.containment import Key
    from probes.model import Channel
    from store.records import Series

_AT_WALL = frozenset({"wall", "feed"})
_LEAST_SUPPLY_EFFICIENCY = 0.80
"""The share of the input that a power supply delivers at least, by the lowest grade of 80 PLUS."""
_LEAST_REGULATOR_EFFICIENCY = 0.85
"""The assumed share that the voltage regulators of a board deliver at least."""
_LEAST_LINE_EFFICIENCY = 0.95
"""The assumed share that a cable or a PDU delivers at least."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A meter, or several that add up, and the sensors below it.

    `efficiency` is the least plausible share of its power that reaches the sensors below.
    """

    meters: tuple[Channel, ...]
    below: tuple[Channel, ...]
    efficiency: float


class WorkingChannels:
    """Collects the best measured channel of each place over several recordings of a host.

    Sensors that showed nothing in all of them, and duplicates of others, are left out.
    """

    def __init__(self) -> None:
        self._working: dict[Key, Channel] = {}
        self._duplicates: set[Key] = set()

    def add(self, series: Iterable[Series]) -> None:
        """Add the series of one recording."""
        found = [each for each in best_series(series) if each.channel.source is Source.MEASURED]
        alive = [each for each in found if not is_dead(each)]
        self._duplicates |= find_duplicates(alive, containers_among(each.channel for each in found)).keys()
        self._working.update((each.channel.place, each.channel) for each in alive)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels found so far."""
        return tuple(channel for place, channel in self._working.items() if place not in self._duplicates)


def layers(channels: Iterable[Channel]) -> tuple[Layer, ...]:
    """Return the layers of measured channels, the outermost first; a layer without a sensor below is left out."""
    left = [channel for channel in best_channels(channels) if channel.source is Source.MEASURED]
    containers = containers_among(left)
    found: list[Layer] = []
    covered = coverage(left)
    while meters := [channel for channel in covered.includes if _is_meter(channel)]:
        left = [channel for channel in left if channel not in meters]
        is_whole = covered.boundary in {Boundary.WALL, Boundary.NODE}
        covered = coverage(left)
        found += [
            _layer(group, [one for one in covered.includes if is_whole or contains(group[0], one, containers)])
            for group in ([meters] if is_whole else [[meter] for meter in meters])
        ]
    # Beside a card that may not be wired to it, psys is not in the total.
    found += [
        _layer([meter], [one for one in covered.includes if contains(meter, one, containers)])
        for meter in left
        if meter.domain == "psys"
    ]
    return tuple(layer for layer in found if layer.below)


def _is_meter(channel: Channel) -> bool:
    return channel.device.kind in {*BOARDS, Kind.PSU} or is_module(channel) or is_socket(channel)


def _layer(meters: Sequence[Channel], below: Sequence[Channel]) -> Layer:
    return Layer(tuple(meters), tuple(below), _least_efficiency(meters, below))


def _least_efficiency(meters: Sequence[Channel], below: Sequence[Channel]) -> float:
    """Return the product of the least efficiencies of all that is between the meters and the sensors below."""
    if not all(meter.domain in _AT_WALL for meter in meters):
        return _LEAST_REGULATOR_EFFICIENCY
    if all(one.domain in _AT_WALL for one in below):
        return _LEAST_LINE_EFFICIENCY
    if all(one.device.kind in {*BOARDS, Kind.PSU} for one in below):
        return _LEAST_SUPPLY_EFFICIENCY
    return _LEAST_SUPPLY_EFFICIENCY * _LEAST_REGULATOR_EFFICIENCY
