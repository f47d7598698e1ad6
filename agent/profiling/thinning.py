"""Keeps the ticks of a measurement of any length in bounded memory, without loss to the energy."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from agent.profiling.boundary import best_channels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from store.records import Layout, Tick

DENSE_NS = 30_000_000_000
"""So long after the first tick and before the latest every one is kept: an edge of a window may lie there."""
SPARSE_NS = 1_000_000_000
_COUNTER, _GAUGE = "energy_joules", "power_watts"


class Thinned:
    """Ticks of several layouts, by the order they came in.

    In the middle of a long measurement one a second is enough of a counter, with both sides of what was refused: its
    energy is the difference of the ends. Power has to be summed, so ticks in which only a gauge tells are all kept; a
    gauge beside a counter shows, in a tick that is kept of many, the mean of them.
    """

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self._layouts = {layout.id: _Layout(layout) for layout in layouts}

    def take(self, ticks: Sequence[Tick]) -> None:
        """Take ticks, in time order within each layout."""
        for tick in ticks:
            self._layouts[tick.layout].take(tick)

    @property
    def ticks(self) -> list[Tick]:
        """What was kept, in time order within each layout."""
        return [tick for layout in self._layouts.values() for tick in layout.ticks]


class _Layout:
    def __init__(self, layout: Layout) -> None:
        best = best_channels(layout.channels)
        counters = {channel for channel in best if channel.metric == _COUNTER}
        places = {channel.key[:2] for channel in counters}
        self._kept: list[Tick] = []
        self._recent: deque[Tick] = deque()
        self._dropped: list[Tick] = []
        self._thin = len(counters) == len(best)
        self._counters = [i for i, channel in enumerate(layout.channels) if channel in counters]
        self._gauges = [
            i for i, channel in enumerate(layout.channels) if channel.metric == _GAUGE and channel.key[:2] in places
        ]

    @property
    def ticks(self) -> list[Tick]:
        return [*self._kept, *self._recent]

    def take(self, tick: Tick) -> None:
        self._recent.append(tick)
        while self._recent[0].end_ns < tick.end_ns - DENSE_NS:
            old = self._recent.popleft()
            if self._needed(old):
                self._kept.append(self._with_means(old))
                self._dropped.clear()
            else:
                self._dropped.append(old)

    def _with_means(self, tick: Tick) -> Tick:
        if not self._dropped or not self._gauges:
            return tick
        values = list(tick.values)
        for position in self._gauges:
            read = [each.values[position] for each in (*self._dropped, tick) if not math.isnan(each.values[position])]
            values[position] = math.fsum(read) / len(read) if read else math.nan
        return tick._replace(values=tuple(values))

    def _needed(self, tick: Tick) -> bool:
        if not self._thin or not self._kept or tick.end_ns <= self._kept[0].end_ns + DENSE_NS:
            return True
        if any(map(self._refused, (tick, self._recent[0], self._kept[-1]))):
            return True
        return tick.end_ns >= self._kept[-1].end_ns + SPARSE_NS or self._only_gauges_tell(tick)

    def _refused(self, tick: Tick) -> bool:
        return any(rejection.channel in self._counters for rejection in tick.rejections)

    def _only_gauges_tell(self, tick: Tick) -> bool:
        silent = any(math.isnan(tick.values[position]) for position in self._counters)
        return silent and not all(math.isnan(tick.values[position]) for position in self._gauges)
