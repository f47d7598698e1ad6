"""The energy of a window from samples, with a bound that holds; pure.

The modules `counter` and `power` state their assumptions. Beyond those: a sensor without a stated refresh period or
resolution behaves as observed, but refreshes at least once a second and counts in millijoules or finer; a read happens
in the middle of its tick; a model is within its stated uncertainty.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from operator import sub
from typing import TYPE_CHECKING, Protocol

from agent.energy.bounds import Energy, WindowResult, combine_results, slowest_refresh_seconds
from agent.energy.counter import CounterEnergy
from agent.energy.power import integrate
from probes.model import ENERGY_METRICS, METRICS, MetricType, Source

if TYPE_CHECKING:
    from probes.model import Channel
    from store.records import EnergySegment, Series

NO_SAMPLE = ("no sample before the window's start", "no sample after the window's end")
"""The reasons for a missing energy if no better one is known."""
MAX_DISAGREEMENT = 0.05
"""The share from which a difference between counter and power gauge of one domain is a reason for doubt."""
_AROUND_NS = 5_000_000_000
_AROUND_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """The energy of one window by one channel.

    `energy` is None if the samples do not reach both ends; `reasons` explain why, or why it is doubtful.
    `method` is `counter`, `integrated` or `model`. Powers are in watts; the peak is the highest reading of a gauge, or
    the highest mean of a counter over a part long enough to measure it, None if the window is too short for one.
    `largest_gap_seconds` is between samples in and around the window. `integrated` is the energy by a power gauge of
    the same domain if `energy` is from a counter.
    """

    channel: Channel
    energy: Energy | None
    method: str
    mean_watts: float | None
    peak_watts: float | None
    samples: int
    largest_gap_seconds: float
    reasons: tuple[str, ...] = ()
    integrated: Energy | None = None

    @property
    def disagreement(self) -> float | None:
        """The relative difference of the gauge's energy from the counter's; None without both."""
        if self.energy is None or self.integrated is None or not self.energy.joules:
            return None
        return self.integrated.joules / self.energy.joules - 1


class Energies(Protocol):
    """The energies of one sensor: a `SeriesEnergy`, or those of a run whose samples are not all in memory.

    `series` then has an excerpt of the samples, which shows whether the sensor works.
    """

    channel: Channel
    series: Series

    def between(self, start_ns: int, end_ns: int) -> WindowEnergy:
        """Return the energy of [start_ns, end_ns)."""
        ...


class SeriesEnergy:
    """The energies of windows of one series.

    All windows share the analysis of the series, and the energy of a window is derived once.
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self.channel = series.channel
        self._counter: CounterEnergy | None = None
        self._found: dict[tuple[int, int], WindowEnergy] = {}

    def between(self, start_ns: int, end_ns: int) -> WindowEnergy:
        """Return the energy of [start_ns, end_ns) from the samples around it.

        The series should reach one refresh period and one sampling period past both ends; if it ends sooner, the bound
        is wider. Raises ValueError if the window is empty or the channel measures neither energy nor power.
        """
        window = (start_ns, end_ns)
        if window not in self._found:
            self._found[window] = self._derived(start_ns, end_ns)
        return self._found[window]

    def _derived(self, start_ns: int, end_ns: int) -> WindowEnergy:
        if end_ns <= start_ns:
            raise ValueError(f"a window must end after it starts: {start_ns} to {end_ns}")
        channel = self.channel
        if channel.metric not in ENERGY_METRICS:
            raise ValueError(f"{channel.metric} measures no energy")
        inside = _sample_count(self.series, start_ns, end_ns)
        missing = _missing_ends(self.series, start_ns, end_ns)
        if missing:
            return WindowEnergy(channel, None, method_of(channel), None, None, inside, 0.0, missing)
        result = self._window_result(start_ns, end_ns)
        mean = result.energy.joules / ((end_ns - start_ns) / 1e9)
        return WindowEnergy(
            channel,
            result.energy.with_uncertainty(channel.uncertainty),
            method_of(channel),
            mean,
            None if result.peak_watts is None else max(result.peak_watts, mean),
            inside,
            _largest_gap_seconds(self.series, start_ns, end_ns),
            result.reasons,
        )

    def _window_result(self, start_ns: int, end_ns: int) -> WindowResult:
        if METRICS[self.channel.metric].type is MetricType.GAUGE:
            parts = [self._integrated(*ends) for ends in _sampled_spans(self.series, start_ns, end_ns)]
            return combine_results([*parts, *map(_segment_result, _segments_within(self.series, start_ns, end_ns))])
        if self._counter is None:
            self._counter = CounterEnergy(self.series)
        return self._counter.between(start_ns, end_ns, *_around(self.series, start_ns, end_ns))

    def _integrated(self, start_ns: int, end_ns: int) -> WindowResult:
        return integrate(_cut(self.series, *_around(self.series, start_ns, end_ns)), start_ns, end_ns)


def window_energy(series: Series, start_ns: int, end_ns: int) -> WindowEnergy:
    """Return the energy of one window; use `SeriesEnergy` for several windows of a series."""
    return SeriesEnergy(series).between(start_ns, end_ns)


def with_gauge_comparison(counter: WindowEnergy, gauge: WindowEnergy) -> WindowEnergy:
    """Return the energy of a counter with that of a power gauge of the same domain and window.

    A difference above 5 % is a reason for doubt that names the preferred sensor and why.
    """
    both = replace(counter, integrated=gauge.energy)
    share = both.disagreement
    if share is None or abs(share) <= MAX_DISAGREEMENT:
        return both
    words = (
        f"its power gauge differs by {share * 100:+.1f} %; the counter is preferred: {preference_reason(gauge.channel)}"
    )
    return replace(both, reasons=(*both.reasons, words))


def preference_reason(gauge: Channel) -> str:
    """Return the reason to prefer a counter to a power gauge of the same domain.

    Power by NVML on A100 and H100 averages over 25 of every 100 ms, as Yang, Adamek and Armour measured in "Part-time
    Power Measurements: nvidia-smi's Lack of Attention" (2023).
    """
    if gauge.aliased:
        seen = "sees only a part of the time (on NVIDIA A100 and H100 25 of 100 ms)"
    elif gauge.method == "average":
        seen = "averages over the time before each reading"
    else:
        seen = "shows single moments"
    return f"a counter misses nothing between two reads, and this gauge {seen}"


def method_of(channel: Channel) -> str:
    """Return the method by which a channel gives an energy: `counter`, `integrated` or `model`."""
    if channel.source is Source.ESTIMATED:
        return "model"
    return "counter" if METRICS[channel.metric].type is MetricType.COUNTER else "integrated"


def _missing_ends(series: Series, start_ns: int, end_ns: int) -> tuple[str, ...]:
    times, missing = series.times_ns, []
    if not times or times[0] > start_ns:
        missing.append(NO_SAMPLE[0])
    if not times or times[-1] < end_ns:
        missing.append(NO_SAMPLE[1])
    if any(each.start_ns < at_ns < each.end_ns for each in series.segments for at_ns in (start_ns, end_ns)):
        missing.append("no sample at an edge of the window: samples far from the ends of a recording are summed up")
    refused = Counter(reason for _, reason in series.rejections)
    if missing and refused:
        words = ", ".join(f"{count} as {reason.value}" for reason, count in refused.most_common())
        missing.append(f"readings were rejected: {words} (docs/sensor-faults.md)")
    return tuple(missing)


def _around(series: Series, start_ns: int, end_ns: int) -> tuple[int, int]:
    """Return the range of samples that can affect a window, which may be a small part of a long run."""
    times, reach_ns = series.times_ns, max(_AROUND_NS, round(2e9 * slowest_refresh_seconds(series.channel)))
    before, after = bisect_right(times, start_ns), bisect_left(times, end_ns)
    first = max(0, min(before - _AROUND_SAMPLES, bisect_left(times, start_ns - reach_ns)))
    last = max(after + _AROUND_SAMPLES, bisect_right(times, end_ns + reach_ns))
    return first, min(last, len(times))


def _cut(series: Series, first: int, last: int) -> Series:
    times, values, halves = series.times_ns, series.values, series.halves_ns
    return replace(series, times_ns=times[first:last], values=values[first:last], halves_ns=halves[first:last])


def _largest_gap_seconds(series: Series, start_ns: int, end_ns: int) -> float:
    times, gaps = series.times_ns, [each.largest_gap_seconds for each in _segments_within(series, start_ns, end_ns)]
    for since_ns, until_ns in _sampled_spans(series, start_ns, end_ns):
        first, last = bisect_right(times, since_ns) - 1, bisect_left(times, until_ns)
        gaps.append(max(map(sub, times[first + 1 : last + 1], times[first:last])) / 1e9)
    return max(gaps)


def _sample_count(series: Series, start_ns: int, end_ns: int) -> int:
    times, segments = series.times_ns, _segments_within(series, start_ns, end_ns)
    parts = _sampled_spans(series, start_ns, end_ns)
    inside = sum(bisect_right(times, until_ns) - bisect_left(times, since_ns) for since_ns, until_ns in parts)
    return inside + sum(segment.samples for segment in segments)


def _segments_within(series: Series, start_ns: int, end_ns: int) -> list[EnergySegment]:
    """Return the stretches of a window that have no samples."""
    return [each for each in series.segments if start_ns <= each.start_ns and each.end_ns <= end_ns]


def _sampled_spans(series: Series, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return the parts of a window with samples: all of it, or the parts before and after its segments."""
    if not (segments := _segments_within(series, start_ns, end_ns)):
        return [(start_ns, end_ns)]
    parts = ((start_ns, segments[0].start_ns), (segments[-1].end_ns, end_ns))
    return [(since_ns, until_ns) for since_ns, until_ns in parts if since_ns < until_ns]


def _segment_result(segment: EnergySegment) -> WindowResult:
    return WindowResult(Energy(segment.joules, segment.lower, segment.upper), segment.highest, segment.reasons)
