"""Adds up the energy of each channel while the service samples: a counter's total, or a power over time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from agent.sampling.probe_reader import overdue_ns
from probes.model import ENERGY_METRICS, METRICS, MetricType
from store.records import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.sampling.counter_accumulator import Totals
    from probes.model import Channel
    from store.records import Layout

HISTORY_SECONDS = 0.9
HISTORY_SAMPLES = 30

Key = tuple[str, str, str, str]


class ChannelJoules(NamedTuple):
    """The joules of one channel since the start of the recording, read at `at_ns` (Unix time).

    For a gauge, `lower` and `upper` are the joules if its power was the lower, or the higher, of the readings around
    each moment; for a counter both equal `joules`.
    """

    channel: Channel
    at_ns: int
    joules: float
    lower: float
    upper: float


@dataclass(slots=True)
class ChannelEnergy:
    """One channel of energy or power: its position, its latest samples about a second apart, and its joules so far.

    `joules` is None before the first value. `added` is the part of it that a host total already contains. `lower` and
    `upper` are the bounds of a gauge's joules by the readings around each moment. `is_counter` is whether it counts
    joules.
    """

    layout: int
    position: int
    channel: Channel
    stale_ns: int
    history: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=HISTORY_SAMPLES))
    latest: tuple[int, float] | None = None
    joules: float | None = None
    added: float | None = None
    lower: float = 0.0
    upper: float = 0.0
    is_counter: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_counter = METRICS[self.channel.metric].type is MetricType.COUNTER

    def record(self, at_ns: int, value: float) -> None:
        """Add a sample; a gauge adds the trapezoid since the sample before, unless that sample is stale."""
        if not self.is_counter:
            earlier_ns, watts = self.latest or (at_ns, value)
            seconds = (at_ns - earlier_ns) / 1e9 if at_ns - earlier_ns <= self.stale_ns else 0.0
            self.joules = (self.joules or 0.0) + (watts + value) / 2 * seconds
            self.lower += min(watts, value) * seconds
            self.upper += max(watts, value) * seconds
        self.latest = (at_ns, value)
        if not self.history or at_ns - self.history[-1][0] >= HISTORY_SECONDS * 1e9:
            self.history.append((at_ns, value))

    def reading(self) -> ChannelJoules | None:
        """Return the joules so far, None before the first sample."""
        if self.latest is None or self.joules is None:
            return None
        bounds = (self.joules, self.joules) if self.is_counter else (self.lower, self.upper)
        return ChannelJoules(self.channel, self.latest[0], self.joules, *bounds)

    def series(self) -> Series:
        """Return the samples in memory."""
        return Series(self.channel, tuple(at for at, _ in self.history), tuple(value for _, value in self.history))

    def watts(self) -> float | None:
        """Return a gauge's reading, or a counter's mean power over about a second or two refresh periods."""
        if self.latest is None:
            return None
        at_ns, value = self.latest
        if not self.is_counter:
            return value
        shortest_ns = max(HISTORY_SECONDS, 2 * self.channel.refresh_seconds) * 1e9
        history = tuple(self.history)  # another thread may add to it
        earlier = next((kept for kept in reversed(history) if at_ns - kept[0] >= shortest_ns), None)
        return None if earlier is None else (value - earlier[1]) / (at_ns - earlier[0]) * 1e9


def channel_energies(layouts: Sequence[Layout], periods: Sequence[float], before: Totals) -> Iterable[ChannelEnergy]:
    """Yield each channel of energy or power once, that of the first probe if several read it."""
    seen: set[Key] = set()
    for layout, period in zip(layouts, periods, strict=True):
        stale_ns = overdue_ns(period)
        for position, channel in enumerate(layout.channels):
            if channel.metric in ENERGY_METRICS and channel.key not in seen:
                seen.add(channel.key)
                saved = before.get((layout.probe, *channel.key))
                yield ChannelEnergy(layout.id, position, channel, stale_ns, added=saved.total if saved else None)
