"""Derives the energies of a run's windows from its stored samples, of which only a part is in memory at any time."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from agent.energy.window import SeriesEnergy
from agent.host.records import CONDITION_METRICS
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.analysis.stability import window_parts
from agent.profiling.points import repeats_of
from agent.profiling.stopping import AROUND_NS
from probes.model import ENERGY_METRICS, METRICS, MetricType
from store.records import EnergySegment, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent.energy.window import WindowEnergy
    from probes.model import Channel
    from store.records import Window

    Key = tuple[str, str, str, str]
    Span = tuple[int, int]
    Read = Callable[[int, int, frozenset[str]], tuple[Series, ...]]

PART_NS = 300_000_000_000
"""The length of a part of a run, unless a window is longer."""
EXCERPT_SAMPLES = 20_000
"""The samples of a sensor at the start, and those at the end, by which the sensors of a long run's total are chosen."""
_READS_AROUND = 4
_FAR_NS = PART_NS
"""The time before and after a part that is read if a sensor has a gap there, or a counter stands still."""
_CONDITION_NS = 250_000_000
"""The least time between two values of a condition in a run of several parts."""


@dataclass(frozen=True, slots=True)
class RunSamples:
    """The samples of a run: its sensors, the conditions of its devices, and the devices that reported energy."""

    sensors: Sensors
    conditions: tuple[Series, ...] = ()
    reporting: frozenset[str] = frozenset()


class WindowEnergies:
    """The energies of a sensor's windows in a run; like `SeriesEnergy`, but `series` is an excerpt."""

    def __init__(self, parts: _Parts, series: Series) -> None:
        self.channel, self.series = series.channel, series
        self._parts = parts

    def between(self, start_ns: int, end_ns: int) -> WindowEnergy:
        """Return the energy of [start_ns, end_ns). Raises ValueError if the window is empty."""
        return self._parts.energy(self.channel, start_ns, end_ns)


def run_samples(
    read: Read,
    windows: Sequence[Window],
    sampling_period_seconds: float,
    channels: Sequence[Channel],
    part_ns: int = PART_NS,
) -> RunSamples:
    """Return the samples of a run; `read` returns the series of the given metrics between two times.

    Memory does not grow with the length of the run: the run is read in parts, and the energies of the windows of a part
    are derived before the next one is read. Bounds hold as they do for a short run. Energies are those of the whole
    series, because only samples near a window affect its energy, with two exceptions. A sensor that has no sample in a
    part has no energy there. A counter of unknown resolution, refresh or ceiling shows them in a part by itself, so
    that its bound can differ. The sensors of the total of a run with several parts are chosen by excerpts of their
    series. Raises what `read` raises.
    """
    parts = _Parts(read, windows, _around_ns(channels, sampling_period_seconds), part_ns)
    selected = partial(
        Sensors.of,
        sampling_period_seconds=sampling_period_seconds,
        channels=channels,
        energies_of=partial(WindowEnergies, parts),
    )
    energetic, conditions = parts.first()
    if parts.count > 1:
        expected = selected(energetic)
        planned = [span for repeats in repeats_of(windows).values() for span in window_parts(repeats, expected)]
        energetic, conditions = parts.derive(sorted(planned))
    return RunSamples(
        selected(energetic), conditions, frozenset(each.channel.device.id for each in energetic if each.times_ns)
    )


def _around_ns(channels: Iterable[Channel], sampling_period_seconds: float) -> int:
    """Return the time before and after a window in which a sample can affect its energy."""
    periods = (channel.refresh_seconds for channel in channels if channel.metric in ENERGY_METRICS)
    return max(AROUND_NS, round(_READS_AROUND * max(sampling_period_seconds, *periods, 0.0) * 1e9))


class _Parts:
    """The parts of a run, one of which is in memory; `count` is their number.

    The energies of windows that were derived once stay in memory.
    """

    def __init__(self, read: Read, windows: Iterable[Window], around_ns: int, part_ns: int) -> None:
        self._read, self._around_ns = read, around_ns
        self._windows = sorted({(window.start_ns, window.end_ns) for window in windows})
        self._spans = list(_grouped(self._windows, part_ns))
        self._energies: dict[tuple[Key, int, int], WindowEnergy] = {}
        self._loaded: Span = (0, 0)
        self._series: dict[Key, SeriesEnergy] = {}

    @property
    def count(self) -> int:
        return len(self._spans)

    def first(self) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
        """Read the first part; return its series of energy, and its conditions."""
        return self._load(*self._spans[0]) if self._spans else ((), ())

    def derive(self, planned: Sequence[Span]) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
        """Derive the energies of all windows, and of the `planned` parts of windows, in order of time.

        Return the excerpts of the series of energy, and the conditions.
        """
        energetic: dict[Key, _Excerpt] = {}
        conditions: dict[Key, _Thinned] = {}
        for start_ns, end_ns in self._spans:
            found, states = self._load(start_ns, end_ns)
            own = [each for each in (*self._windows, *planned) if start_ns <= each[0] and each[1] <= end_ns]
            for series in found:
                for span in own:
                    self.energy(series.channel, *span)
                energetic.setdefault(series.channel.key, _Excerpt(series.channel)).take(series)
            for state in states:
                conditions.setdefault(state.channel.key, _Thinned(state.channel)).take(state)
        return tuple(each.series for each in energetic.values()), tuple(each.series for each in conditions.values())

    def energy(self, channel: Channel, start_ns: int, end_ns: int) -> WindowEnergy:
        """Return the energy of one window by one channel; read its samples if they are not in memory."""
        key = (channel.key, start_ns, end_ns)
        if key not in self._energies:
            if not (self._loaded[0] <= start_ns and end_ns <= self._loaded[1]):
                self._load(start_ns, end_ns)
            series = self._series.get(channel.key) or SeriesEnergy(Series(channel, (), ()))
            self._energies[key] = series.between(start_ns, end_ns)
        return self._energies[key]

    def _load(self, start_ns: int, end_ns: int) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
        self._series.clear()  # the part before leaves the memory first
        found = self._read(start_ns - self._around_ns, end_ns + self._around_ns, ENERGY_METRICS | CONDITION_METRICS)
        energetic = tuple(each for each in found if each.channel.metric in ENERGY_METRICS)
        if not all(_reaches_past(each, start_ns, end_ns) for each in energetic):
            energetic = self._read(start_ns - _FAR_NS, end_ns + _FAR_NS, ENERGY_METRICS)
        self._series.update((each.channel.key, SeriesEnergy(each)) for each in energetic)
        self._loaded = (start_ns, end_ns)
        return energetic, tuple(each for each in found if each.channel.metric in CONDITION_METRICS)


def _reaches_past(series: Series, start_ns: int, end_ns: int) -> bool:
    """Return whether a sensor has samples on both sides of a part, which differ for a counter that moved at all."""
    times, values = series.times_ns, series.values
    if not times:
        return True
    before, after = bisect_right(times, start_ns) - 1, bisect_left(times, end_ns)
    if before < 0 or after == len(times):
        return False
    is_gauge = METRICS[series.channel.metric].type is MetricType.GAUGE
    return is_gauge or values[0] == values[-1] or (values[0] != values[before] and values[after] != values[-1])


def _grouped(windows: Iterable[Span], part_ns: int) -> Iterator[Span]:
    """Yield the spans of neighboring windows, in order of time, of at most `part_ns` unless a window is longer."""
    first_ns = last_ns = None
    for start_ns, end_ns in windows:
        if first_ns is None or last_ns is None:
            first_ns, last_ns = start_ns, end_ns
        elif max(last_ns, end_ns) - first_ns <= part_ns or start_ns < last_ns:
            last_ns = max(last_ns, end_ns)
        else:
            yield first_ns, last_ns
            first_ns, last_ns = start_ns, end_ns
    if first_ns is not None and last_ns is not None:
        yield first_ns, last_ns


@dataclass(slots=True)
class _Samples:
    """Samples of one channel in arrays."""

    times_ns: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    halves_ns: array[int] = field(default_factory=lambda: array("q"))

    def extend(self, series: Series, first: int, last: int) -> None:
        """Add some samples of a series, by their positions."""
        self.times_ns.extend(series.times_ns[first:last])
        self.values.extend(series.values[first:last])
        self.halves_ns.extend(series.halves_ns[first:last])


class _Excerpt:
    """The first and the last samples of a channel; a segment with the highest value stands for those between them."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._head, self._tail = _Samples(), _Samples()
        self._left_out = 0
        self._highest = 0.0
        self._since_ns = 0

    def take(self, series: Series) -> None:
        """Add the samples of the next part, which may begin with samples of the part before."""
        first = bisect_right(series.times_ns, self._since_ns)
        count = len(series.times_ns)
        if first == count:
            return
        self._since_ns = series.times_ns[-1]
        middle = min(count, first + EXCERPT_SAMPLES - len(self._head.times_ns))
        self._head.extend(series, first, middle)
        self._tail.extend(series, middle, count)
        excess = max(0, len(self._tail.times_ns) - EXCERPT_SAMPLES)
        self._left_out += excess
        self._highest = max(self._highest, *self._tail.values[:excess], 0.0)
        for values in (self._tail.times_ns, self._tail.values, self._tail.halves_ns):
            del values[:excess]

    @property
    def series(self) -> Series:
        """The samples as a series."""
        head, tail = self._head, self._tail
        between = (head.times_ns[-1], tail.times_ns[0]) if self._left_out else (0, 0)
        left_out = EnergySegment(*between, 0.0, 0.0, 0.0, self._highest, self._left_out, 0.0)
        return Series(
            self._channel,
            head.times_ns + tail.times_ns,
            head.values + tail.values,
            (),
            head.halves_ns + tail.halves_ns,
            (left_out,) if self._left_out else (),
        )


class _Thinned:
    """The values of a condition, at most four a second; bits of reasons within this time are united."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._samples = _Samples()
        self._since_ns = 0

    def take(self, series: Series) -> None:
        """Add the samples of the next part, which may begin with samples of the part before."""
        kept = self._samples
        is_bits = self._channel.metric == "throttle_reasons"
        for at in range(bisect_right(series.times_ns, self._since_ns), len(series.times_ns)):
            at_ns, value = series.times_ns[at], series.values[at]
            if kept.times_ns and at_ns - kept.times_ns[-1] < _CONDITION_NS:
                if is_bits:
                    kept.values[-1] = float(int(kept.values[-1]) | int(value))
                continue
            kept.times_ns.append(at_ns)
            kept.values.append(value)
        self._since_ns = series.times_ns[-1] if series.times_ns else self._since_ns

    @property
    def series(self) -> Series:
        """The values as a series."""
        return Series(self._channel, self._samples.times_ns, self._samples.values)
