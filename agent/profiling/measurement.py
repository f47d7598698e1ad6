"""The energy of one stretch of time, by device and domain and in total; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.profiling.boundary import best_series, cover
from agent.profiling.energy import ENERGETIC, WindowEnergy, window_energy
from agent.profiling.figures import provenance
from agent.profiling.joules import Energy
from store.records import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.profiling.boundary import Coverage
    from agent.profiling.profile import Provenance
    from probes.model import Channel
    from store.records import Layout, Tick


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured from `start_ns` to `end_ns`.

    `total` is None where a sensor that belongs to it gave no energy; `readings` are every sensor's, counted or not.
    """

    start_ns: int
    end_ns: int
    total: Energy | None
    source: Provenance | None
    coverage: Coverage
    readings: tuple[WindowEnergy, ...]

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / 1e9


def series_of(layouts: Iterable[Layout], ticks: Iterable[Tick]) -> tuple[Series, ...]:
    """Return the series in a batch of ticks: one for each (device, domain), its counter where it has one."""
    by_layout: dict[int, list[Tick]] = {}
    for tick in ticks:
        by_layout.setdefault(tick.layout, []).append(tick)
    return best_series(
        _series(channel, position, by_layout.get(layout.id, ()))
        for layout in layouts
        for position, channel in enumerate(layout.channels)
        if channel.metric in ENERGETIC
    )


def _series(channel: Channel, position: int, ticks: Sequence[Tick]) -> Series:
    read = [
        ((tick.start_ns + tick.end_ns) // 2, tick.values[position])
        for tick in ticks
        if not math.isnan(tick.values[position])
    ]
    refused = tuple(
        (tick.start_ns, rejection.reason)
        for tick in ticks
        for rejection in tick.rejections
        if rejection.channel == position
    )
    return Series(channel, tuple(at for at, _ in read), tuple(value for _, value in read), refused)


def measure(series: Sequence[Series], start_ns: int, end_ns: int, channels: Iterable[Channel] = ()) -> Measurement:
    """Return the energy between two moments from the series around them. Raises ValueError if they are in disorder.

    `channels` are all of the host, so that a device that nothing measures is named as not covered.
    """
    covered = cover(series, channels)
    counted = {channel.key for channel in covered.includes}
    readings = tuple(window_energy(each, start_ns, end_ns) for each in series)
    total = Energy(0.0, 0.0, 0.0) if counted else None
    for reading in readings:
        if reading.channel.key in counted and total is not None:
            total = None if reading.energy is None else total.plus(reading.energy)
    source = provenance(covered.includes) if counted else None
    return Measurement(start_ns, end_ns, total, source, covered, readings)
