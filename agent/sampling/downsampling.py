"""Holds the samples of a measurement of any length in bounded memory, without loss of accuracy."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from agent.energy.condensing import RAW_EDGE_NS, GaugeSamples
from agent.energy.measurement import series_of
from probes.model import ENERGY_METRICS, METRICS, MetricType, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from store.records import Layout, Series, Tick

SPARSE_NS = 1_000_000_000
MAX_TICKS = 8192
MAX_BREAK_TICKS = 2 * MAX_TICKS
"""Steps back near each other are merged if more ticks than this are beside breaks."""
_DISCONTINUITIES = frozenset({Reason.RESET, Reason.WRAP_UNKNOWN})
_STEPS_BACK = frozenset({Reason.BACKWARD})
_BREAKS = _DISCONTINUITIES | _STEPS_BACK
_LEAST_MERGED_NS = 10_000_000


class Downsampler:
    """The samples of energy and power of several layouts.

    A counter's energy is the difference of its ends, so in the middle of a measurement one tick a second is enough, and
    fewer if it is very long, plus the ticks on both sides of a rejection. If a counter steps back very often, steps
    near each other are merged, which makes only the time between them doubtful. The middle of a gauge is integrated.
    """

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self._layouts = {layout.id: _Layout(layout) for layout in layouts}

    def take(self, ticks: Sequence[Tick]) -> None:
        """Take ticks, in time order within each layout."""
        for tick in ticks:
            self._layouts[tick.layout].take(tick)

    @property
    def series(self) -> tuple[Series, ...]:
        """Every series of energy or power."""
        return tuple(series for layout in self._layouts.values() for series in layout.series)


class _Layout:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ticks: list[Tick] = []
        self._recent: deque[Tick] = deque()
        self._sparse_ns = SPARSE_NS
        self._max_ticks = MAX_TICKS
        self._merged_ns = _LEAST_MERGED_NS
        energetic = [(i, channel) for i, channel in enumerate(layout.channels) if channel.metric in ENERGY_METRICS]
        forms = {i: METRICS[channel.metric].type for i, channel in energetic}
        self._counters = [i for i, _ in energetic if forms[i] is MetricType.COUNTER]
        self._gauges = {i: GaugeSamples(channel) for i, channel in energetic if forms[i] is MetricType.GAUGE}

    @property
    def series(self) -> tuple[Series, ...]:
        counted = {each.channel.key: each for each in series_of([self._layout], [*self._ticks, *self._recent])}
        gauged = {self._layout.channels[i].key: samples.series for i, samples in self._gauges.items()}
        return tuple((counted | gauged).values())

    def take(self, tick: Tick) -> None:
        for position, samples in self._gauges.items():
            watts = tick.values[position]
            if not math.isnan(watts):
                middle_ns, half_ns = (tick.start_ns + tick.end_ns) // 2, (tick.end_ns - tick.start_ns + 1) // 2
                samples.take(middle_ns, half_ns, watts)
        for rejection in tick.rejections:
            if rejection.channel in self._gauges:
                self._gauges[rejection.channel].refuse(tick.start_ns, rejection.reason)
        if self._counters:
            self._take_counters(tick)

    def _take_counters(self, tick: Tick) -> None:
        self._recent.append(tick)
        while self._recent[0].end_ns < tick.end_ns - RAW_EDGE_NS:
            old = self._recent.popleft()
            if self._is_needed(old):
                self._ticks.append(old)
        if len(self._ticks) > self._max_ticks:
            self._sparse_ns *= 2
            self._ticks = self._decimated(self._ticks)
            while len(self._ticks) > MAX_BREAK_TICKS and self._merged_ns < tick.end_ns - self._ticks[0].end_ns:
                self._merged_ns *= 2
                self._ticks = self._merged(self._ticks)
            self._max_ticks = max(MAX_TICKS, 2 * len(self._ticks))

    def _is_needed(self, tick: Tick) -> bool:
        if (
            not self._ticks
            or self._is_early(tick)
            or any(map(self._has_break, (tick, self._recent[0], self._ticks[-1])))
        ):
            return True
        is_edge = self._is_refused(tick) != self._is_refused(self._recent[0])
        return is_edge or tick.end_ns >= self._ticks[-1].end_ns + self._sparse_ns

    def _is_early(self, tick: Tick) -> bool:
        return tick.end_ns <= self._ticks[0].end_ns + RAW_EDGE_NS

    def _decimated(self, kept: Sequence[Tick]) -> list[Tick]:
        found = [kept[0]]
        for before, tick, after in zip(kept, kept[1:], [*kept[2:], kept[-1]], strict=False):
            is_apart = tick.end_ns >= found[-1].end_ns + self._sparse_ns
            if is_apart or self._is_early(tick) or any(map(self._has_break, (before, tick, after))):
                found.append(tick)
        return found

    def _merged(self, kept: Sequence[Tick]) -> list[Tick]:
        """Return the ticks with one step back in place of several near each other, without the reads between them.

        A step back makes the time between the reads around it doubtful; after the merge, all of the time from the first
        to the last step is doubtful.
        """
        found: list[Tick] = []
        last = -1  # the step back to merge with
        for tick in kept:
            if self._is_early(tick) or self._has_break(tick, _DISCONTINUITIES):
                last = -1
            elif self._has_break(tick, _STEPS_BACK):
                if last >= 0 and tick.end_ns <= found[last].end_ns + self._merged_ns:
                    del found[last + 1 :]
                    found[last] = _merge_steps_back(found[last], tick)
                    continue
                last = len(found)
            found.append(tick)
        return found

    def _has_break(self, tick: Tick, reasons: frozenset[Reason] = _BREAKS) -> bool:
        return any(each.reason in reasons and each.channel in self._counters for each in tick.rejections)

    def _is_refused(self, tick: Tick) -> bool:
        return any(each.channel in self._counters for each in tick.rejections)


def _merge_steps_back(tick: Tick, later: Tick) -> Tick:
    """Return a tick with the steps back of both, and without the values of the channels that stepped back."""
    back = [each for each in later.rejections if each.reason in _STEPS_BACK]
    refused = {each.channel for each in back}
    values = tuple(math.nan if i in refused else value for i, value in enumerate(tick.values))
    return tick._replace(values=values, rejections=tuple(dict.fromkeys((*tick.rejections, *back))))
