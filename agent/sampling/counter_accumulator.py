"""Continues the totals of counters across reloads, restarts, kills and reboots.

A sample in the store is the probe's own value, which never decreases within a recording. The exporter shows the total:
the last stored total plus the counts since then that are certain.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger
from probes.counter import shortest_wrap_seconds
from probes.model import METRICS, Channel, MetricType, Reason, Source
from probes.plausibility import max_watts
from store.records import Total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent.runtime.clock import Timebase
    from store.records import Host, Layout, Tick

_ROUNDING = 1e-3
"""The rounding error of a raw value that was computed from a total: a double near 10^12 is no finer."""
_UNSTORED_EXPORT_SECONDS = 2.0
_UNKNOWN_REFRESH_SECONDS = 1.0
_UNKNOWN_AFTER = frozenset({Reason.RESET, Reason.WRAP_UNKNOWN})
"""Rejections after which the value of the hardware's counter does not follow from the probe's total."""

logger = get_logger("accumulators")

Key = tuple[str, ...]
"""A probe's name and its channel's key."""
Totals = dict[Key, Total]


def gap_energy(raw: float, first: float, seconds: float, channel: Channel) -> tuple[float, Reason | None]:
    """Return the count of a hardware counter during a pause of `seconds`, or 0 and the reason if it is unknown.

    `raw` is its value before the pause and `first` the one after it, in the same boot and in the channel's unit. The
    count is unknown after a decrease that is not a wrap, after a pause in which the counter may have wrapped twice at
    the device's maximum power, and if it exceeds that power. One refresh period is added to the pause.
    """
    seconds += channel.refresh_seconds or _UNKNOWN_REFRESH_SECONDS
    if seconds >= shortest_wrap_seconds(channel):
        return 0.0, Reason.WRAP_UNKNOWN
    most = max_watts(channel) * seconds
    step = first - raw
    if step < -_ROUNDING:
        step += channel.wraps_at
        return (0.0, Reason.RESET) if not 0 <= step <= most else (step, None)
    return (0.0, Reason.IMPOSSIBLE) if step > most else (max(0.0, step), None)


@dataclass(slots=True)
class _Accumulator:
    """One counter: its position, its stored total (`saved`), and its total now: `base` plus the counts since `first`.

    `exported` is the stored total, at the start the largest of all probes with this channel; None before the first.
    `value` is the probe's last value, read at `at_ns`.
    """

    position: int
    channel: Channel
    key: Key
    saved: Total | None
    exported: float | None
    base: float = 0.0
    first: float = 0.0
    value: float = math.nan
    at_ns: int = 0
    stored_at_ns: int = 0
    raw_known: bool = True

    @property
    def started(self) -> bool:
        return not math.isnan(self.value)

    def total(self, value: float) -> float:
        """Return the total at a value of the probe; this order of operations never decreases by rounding."""
        return self.base + (value - self.first)

    def raw(self) -> float | None:
        """Return the last value of the hardware's counter, None if it is unknown."""
        if not self.raw_known or self.channel.source is Source.ESTIMATED:
            return None
        return math.fmod(self.value, self.channel.wraps_at) if self.channel.wraps_at else self.value


class CounterAccumulator:
    """The counters of one recording, which continue the totals in `before`; of two with equal keys the first counts.

    `store_ticks` runs in the recorder's thread, `exported_value` in any. A total is exported after it was stored, so
    that a kill cannot make it decrease. If the store fails for two seconds, the unstored total is exported.
    """

    def __init__(self, host: Host, layouts: Sequence[Layout], before: Totals, timebase: Timebase) -> None:
        self._host = host
        self._timebase = timebase
        taken: set[Key] = set()
        self._counters = {layout.id: _counters(layout, before, taken) for layout in layouts}
        self._by_place = {(number, each.position): each for number, own in self._counters.items() for each in own}
        self._not_started = {number for number, counters in self._counters.items() if counters}
        self._waiting_since: float | None = None
        self._lost_seconds: dict[tuple[str, ...], float] = {}

    def exported_value(self, tick: Tick, position: int) -> float:
        """Return the total to export for a counter of a tick."""
        counter = self._by_place[tick.layout, position]
        if counter.exported is None:
            return tick.values[position]
        if not counter.started or not self._exports_unstored():
            return counter.exported
        return max(counter.exported, counter.total(tick.values[position]))

    def exported_at_ns(self, tick: Tick) -> int:
        """Return the Unix time of the sample whose totals are exported for a tick; the tick's own without counters."""
        kept = [counter.stored_at_ns for counter in self._counters[tick.layout] if counter.stored_at_ns]
        return tick.end_ns if self._exports_unstored() or not kept else min(max(kept), tick.end_ns)

    def lost_seconds(self) -> Mapping[tuple[str, ...], float]:
        """Return the length of the pauses whose energy is unknown and in no total, by channel key."""
        return self._lost_seconds.copy()

    def _exports_unstored(self) -> bool:
        since = self._waiting_since
        return since is not None and time.monotonic() - since >= _UNSTORED_EXPORT_SECONDS

    def current(self, layout: int, position: int) -> float | None:
        """Return a counter's total at its latest value, stored or not; None before the first."""
        counter = self._by_place.get((layout, position))
        return counter.total(counter.value) if counter and counter.started else None

    def store_ticks(self, ticks: Sequence[Tick], append: Callable[[Sequence[Tick], Sequence[Total]], None]) -> None:
        """Add ticks and pass them to `append` with the totals; raises its errors, and may be repeated."""
        self._waiting_since = self._waiting_since or time.monotonic()
        self.take(ticks)
        counters = [c for own in self._counters.values() for c in own if c.started and c.at_ns > c.stored_at_ns]
        totals = [self._total(counter) for counter in counters]
        append(ticks, totals)
        for counter, total in zip(counters, totals, strict=True):
            counter.exported, counter.stored_at_ns = total.total, counter.at_ns
        self._waiting_since = None

    def take(self, ticks: Sequence[Tick]) -> None:
        """Add ticks, which are in order within a layout; repeated ticks have no effect."""
        latest = {}
        for tick in ticks:
            if tick.rejections or tick.layout in self._not_started:
                self._process(tick)
            latest[tick.layout] = tick
        for tick in latest.values():
            counters = self._counters[tick.layout]
            _advance(counters, tick)
            if absent := [counter for counter in counters if math.isnan(tick.values[counter.position])]:
                for earlier in ticks:
                    if earlier.layout == tick.layout:
                        _advance(absent, earlier)

    def _process(self, tick: Tick) -> None:
        counters = self._counters[tick.layout]
        for counter in counters:
            if not counter.started and not math.isnan(tick.values[counter.position]):
                self._begin(counter, tick)
        lost = {rejection.channel for rejection in tick.rejections if rejection.reason in _UNKNOWN_AFTER}
        for counter in counters:
            if counter.position in lost and counter.started:
                counter.raw_known = False
        if all(counter.started for counter in counters):
            self._not_started.discard(tick.layout)

    def _begin(self, counter: _Accumulator, tick: Tick) -> None:
        """Start with a counter's first value; without an earlier total, that value is the total.

        If another probe continued the total meanwhile, the larger one is exported: each contains a part of the counts
        since then, and their sum would contain some counts twice.
        """
        first = tick.values[counter.position]
        if counter.exported is not None:
            bridged = self._total_with_gap(counter.saved, counter, tick) if counter.saved else 0.0
            counter.first, counter.base = first, max(counter.exported, bridged)
        counter.value, counter.at_ns = first, tick.end_ns

    def _total_with_gap(self, saved: Total, counter: _Accumulator, tick: Tick) -> float:
        """Return a counter's earlier total plus the certain counts since then."""
        seconds = (self._timebase.boot_ns(tick.end_ns) - saved.at_ns) / 1e9
        if not saved.boot_id or saved.boot_id != self._host.boot_id or seconds < 0:
            return saved.total
        if saved.raw is None:
            if counter.channel.source is Source.MEASURED:
                self._record_gap(counter, "reset before the pause", seconds)
            return saved.total
        added, reason = gap_energy(saved.raw, tick.values[counter.position], seconds, counter.channel)
        if reason:
            self._record_gap(counter, reason.value, seconds)
        return saved.total + added

    def _record_gap(self, counter: _Accumulator, reason: str, seconds: float) -> None:
        """Log and add up a pause whose count is unknown."""
        channel, pause = "/".join(counter.key), round(seconds, 3)
        logger.warning("the count of a pause is unknown", channel=channel, reason=reason, pause_seconds=pause)
        if counter.channel.metric == "energy_joules":
            lost = self._lost_seconds
            lost[counter.channel.key] = lost.get(counter.channel.key, 0.0) + seconds

    def _total(self, counter: _Accumulator) -> Total:
        probe, device, domain, metric, _ = counter.key
        total, at_ns = counter.total(counter.value), self._timebase.boot_ns(counter.at_ns)
        source, host = counter.channel.source, self._host
        return Total(host.id, probe, device, domain, metric, source, host.boot_id, counter.raw(), total, at_ns)


def _counters(layout: Layout, before: Totals, taken: set[Key]) -> tuple[_Accumulator, ...]:
    """Return the counters of a layout except those in `taken`, and add them to `taken`."""
    found = []
    for position, channel in enumerate(layout.channels):
        if METRICS[channel.metric].type is MetricType.COUNTER and channel.key not in taken:
            taken.add(channel.key)
            key = (layout.probe, *channel.key)
            largest = max((total.total for of, total in before.items() if of[1:] == channel.key), default=None)
            found.append(_Accumulator(position, channel, key, before.get(key), largest))
    return tuple(found)


def _advance(counters: Iterable[_Accumulator], tick: Tick) -> None:
    for counter in counters:
        value = tick.values[counter.position]
        if not math.isnan(value) and tick.end_ns > counter.at_ns:
            counter.value, counter.at_ns = value, tick.end_ns
