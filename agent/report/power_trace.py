"""The power of a run over time, from its stored samples: means of equal parts of the time, and the windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.profiling.analysis.idle import BASELINES
from agent.profiling.document.codec import counted_sensors
from agent.workloads.point import decode_point, point_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.records import Document
    from agent.report.chart import Values
    from probes.model import Channel
    from store.reader import Reader
    from store.records import Series, Window

_MOST_PARTS = 600
_COUNTS_A_PART = 5
"""The readings of a counter in a part; a gauge is integrated over all of its readings."""
_LEAST_SAMPLES = 2
_GAP_SECONDS = 3.0
_GAP_PERIODS = 3
"""A part of the time without samples for longer than both has no power."""
_SECOND_NS = 1e9


@dataclass(frozen=True, slots=True)
class TracedWindow:
    """A window of the run, in seconds from its start; `idle` is true for a baseline."""

    name: str
    idle: bool
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class PowerTrace:
    """Mean powers in watts of equal parts of a run, whose middles are `seconds` from its start.

    `total` is the sum of the counted sensors, None where one has no samples; `sensors` are the same by device and
    domain.
    """

    seconds: tuple[float, ...]
    total: Values
    sensors: tuple[tuple[str, Values], ...]
    windows: tuple[TracedWindow, ...]


def stored_trace(reader: Reader, document: Document) -> PowerTrace | None:
    """Return the power of the run behind a profile, None if the store has no samples of it. Raises StoreError."""
    run = reader.run(document.id)
    counted = counted_sensors(document)
    if run is None or not counted:
        return None

    def is_counted(channel: Channel) -> bool:
        return (channel.device.id, channel.domain, channel.metric) in counted

    def read(metric: str, every_ns: int) -> tuple[Series, ...]:
        return reader.series(run.recording, min(starts), max(ends), {metric}, is_counted, every_ns)

    windows = reader.windows(run.id)
    starts = [run.started_ns, *(window.start_ns for window in windows)]
    ends = [run.ended_ns, *(window.end_ns for window in windows)]
    part_ns = (max(ends) - min(starts)) // _MOST_PARTS // _COUNTS_A_PART
    return power_trace((*read("energy_joules", part_ns), *read("power_watts", 0)), windows)


def power_trace(series: Sequence[Series], windows: Sequence[Window]) -> PowerTrace | None:
    """Return the power of some sensors from the first window to the last, None without samples.

    Without windows, which a bundle does not have, it begins and ends with the samples.
    """
    import numpy as np  # noqa: PLC0415  an extra

    series = [each for each in series if len(each.times_ns) >= _LEAST_SAMPLES]
    if not series:
        return None
    start_ns = min(each.start_ns for each in windows) if windows else min(each.times_ns[0] for each in series)
    end_ns = max(each.end_ns for each in windows) if windows else max(each.times_ns[-1] for each in series)
    slowest = max(each.channel.refresh_seconds for each in series)
    parts = max(1, min(_MOST_PARTS, int((end_ns - start_ns) / _SECOND_NS / max(2 * slowest, 0.02))))
    edges = np.linspace(0.0, (end_ns - start_ns) / _SECOND_NS, parts + 1)
    powers = [_mean_watts(np, each, start_ns, edges) for each in series]
    return PowerTrace(
        tuple(((edges[1:] + edges[:-1]) / 2).tolist()),
        _without_nan(sum(powers[1:], powers[0])),
        tuple((each.channel.path, _without_nan(power)) for each, power in zip(series, powers, strict=True)),
        tuple(_traced(window, start_ns) for window in windows),
    )


def _mean_watts(np: Any, series: Series, start_ns: int, edges: Any) -> Any:
    """Return the mean power between the edges, NaN without samples. A gauge is integrated by trapezoids."""
    channel = series.channel
    times = (np.asarray(series.times_ns, dtype=np.int64) - start_ns) / _SECOND_NS
    values = np.asarray(series.values, dtype=float)
    if channel.metric == "energy_joules":
        joules = values
    else:
        times = times - channel.refresh_seconds / 2  # a reading is the mean of its averaging time
        joules = np.concatenate(([0.0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(times))))
    at_edges = np.interp(edges, times, joules, left=np.nan, right=np.nan)
    watts = np.diff(at_edges) / np.diff(edges)
    watts[watts < 0] = np.nan  # the counter was reset
    longest = max(_GAP_SECONDS, _GAP_PERIODS * channel.refresh_seconds)
    wide = np.flatnonzero(np.diff(times) > longest)
    for before, after in zip(times[wide], times[wide + 1], strict=True):
        watts[(edges[:-1] < after) & (edges[1:] > before)] = np.nan
    return watts


def _without_nan(powers: Any) -> Values:
    return tuple(None if value != value else value for value in powers.tolist())  # noqa: PLR0124  only NaN differs


def _traced(window: Window, start_ns: int) -> TracedWindow:
    start, end = ((at - start_ns) / _SECOND_NS for at in (window.start_ns, window.end_ns))
    if not window.point:
        return TracedWindow(window.phase.replace("_", " "), window.phase in BASELINES, start, end)
    name = point_name(decode_point(window.point))
    return TracedWindow(f"{name} {window.phase}, repeat {window.repeat}".strip(), False, start, end)
