"""From samples to the energy of a window, with a bound that holds; pure.

A counter shows, at any moment, the energy at its last refresh, which was at most one refresh period ago. So a value
read at time `t` is the true energy of some moment in (t - refresh, t]. Two things follow. The true energy at a window's
edge lies between the last value read before it and the first value read one refresh period after it: that is the bound.
And between two reads with different values a refresh happened, at a moment known to within the smaller of the two
reads' distance and the refresh period: interpolating between these moments is the estimate.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from probes.model import METRICS, Form, Reason, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.model import Channel
    from store.records import Series

PLAUSIBLE_TIMES_PEAK = 4.0
"""Where no power limit is known, what a sensor that was away may have missed is bounded by this times the peak seen."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules with a lower and an upper bound."""

    joules: float
    lower: float
    upper: float

    def plus(self, other: Energy) -> Energy:
        """Add two energies that do not overlap; their bounds add too, so the sum's bound holds as well."""
        return Energy(self.joules + other.joules, self.lower + other.lower, self.upper + other.upper)

    def times(self, factor: float) -> Energy:
        """Scale by a factor that is not negative: per inference, or (by 1 / seconds) to watts."""
        return Energy(self.joules * factor, self.lower * factor, self.upper * factor)


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """What one channel says of one window.

    `energy` is None where the samples do not reach both ends; `reasons` say why, or what makes the number doubtful.
    `method` is `counter`, `integrated` or `model`. Powers are in watts, `largest_gap_seconds` is between samples in the
    window.
    """

    channel: Channel
    energy: Energy | None
    method: str
    mean_watts: float | None
    peak_watts: float | None
    samples: int
    largest_gap_seconds: float
    reasons: tuple[str, ...] = ()


def window_energy(series: Series, start_ns: int, end_ns: int) -> WindowEnergy:
    """Return the energy of [start_ns, end_ns) from a channel's samples around it.

    `series` should reach one refresh period and one beat past both ends. Raises ValueError if the window is empty or
    the channel measures neither energy nor power.
    """
    if end_ns <= start_ns:
        raise ValueError(f"a window must end after it starts: {start_ns} to {end_ns}")
    if series.channel.metric not in {"energy_joules", "power_watts"}:
        raise ValueError(f"{series.channel.metric} measures no energy")
    times = series.times_ns
    inside = bisect_right(times, end_ns) - bisect_left(times, start_ns)
    counts = METRICS[series.channel.metric].form is Form.COUNTER
    method = "model" if series.channel.source is Source.ESTIMATED else "counter" if counts else "integrated"
    missing = _missing_ends(times, start_ns, end_ns)
    if missing:
        return WindowEnergy(series.channel, None, method, None, None, inside, 0.0, missing)
    gap = _largest_gap_seconds(times, start_ns, end_ns)
    if counts:
        energy, peak, reasons = _counted(series, start_ns, end_ns)
    else:
        energy, peak, reasons = _integrated(series, start_ns, end_ns)
    energy = _widened(energy, series.channel.uncertainty)
    mean = energy.joules / ((end_ns - start_ns) / 1e9)
    return WindowEnergy(series.channel, energy, method, mean, peak, inside, gap, reasons)


def _missing_ends(times: Sequence[int], start_ns: int, end_ns: int) -> tuple[str, ...]:
    missing = []
    if not times or times[0] > start_ns:
        missing.append("no sample before the window's start")
    if not times or times[-1] < end_ns:
        missing.append("no sample after the window's end")
    return tuple(missing)


def _largest_gap_seconds(times: Sequence[int], start_ns: int, end_ns: int) -> float:
    first = bisect_right(times, start_ns) - 1
    last = bisect_left(times, end_ns)
    return max((times[i + 1] - times[i] for i in range(first, last)), default=0) / 1e9


def _widened(energy: Energy, uncertainty: float) -> Energy:
    return Energy(energy.joules, energy.lower * max(0.0, 1 - uncertainty), energy.upper * (1 + uncertainty))


def learnt_refresh_seconds(series: Series) -> float:
    """Return the median time between changes of value: what the sensor's refresh period looks like from outside.

    0 where fewer than two changes were seen. Never shorter than the time between reads.
    """
    times, values = series.times_ns, series.values
    changes = [times[i] for i in range(1, len(values)) if values[i] != values[i - 1]]
    return median(b - a for a, b in pairwise(changes)) / 1e9 if len(changes) > 1 else 0.0


# --- counters -------------------------------------------------------------------------------------------------------


def _counted(series: Series, start_ns: int, end_ns: int) -> tuple[Energy, float | None, tuple[str, ...]]:
    times, values = series.times_ns, series.values
    refresh_ns = round((series.channel.refresh_seconds or learnt_refresh_seconds(series)) * 1e9)
    knots = _knots(times, values, refresh_ns)
    low_start, high_start = _edge_bound(times, values, start_ns, refresh_ns)
    low_end, high_end = _edge_bound(times, values, end_ns, refresh_ns)
    resolution = series.channel.resolution
    lower = max(0.0, low_end - high_start - resolution)
    upper = high_end - low_start + resolution
    joules = min(max(_at(knots, end_ns) - _at(knots, start_ns), lower), upper)
    peak = _steepest_watts(knots, start_ns, end_ns)
    lost_seconds = _lost_to_resets(series, start_ns, end_ns)
    if not lost_seconds:
        return Energy(joules, lower, upper), peak, ()
    ceiling = series.channel.limit or PLAUSIBLE_TIMES_PEAK * (peak or 0.0)
    counted_seconds = (end_ns - start_ns) / 1e9 - lost_seconds
    filled = joules / counted_seconds * lost_seconds if counted_seconds > 0 else 0.0
    reason = f"the counter was reset: {lost_seconds:.3g} s were not counted and are filled in with the mean power"
    return Energy(joules + filled, lower, max(upper + ceiling * lost_seconds, joules + filled)), peak, (reason,)


def _knots(times: Sequence[int], values: Sequence[float], refresh_ns: int) -> list[tuple[float, float]]:
    """Return (time, energy) of every refresh seen: the middle of the stretch it must have happened in."""
    knots = [(float(times[0]), values[0])]
    for i in range(1, len(times)):
        if values[i] != values[i - 1]:
            distance = times[i] - times[i - 1]
            knots.append((times[i] - min(refresh_ns, distance) / 2 if refresh_ns else times[i], values[i]))
    return knots


def _at(knots: Sequence[tuple[float, float]], at_ns: float) -> float:
    after = bisect_right(knots, at_ns, key=_time)
    if after == len(knots):
        return knots[-1][1]
    if after == 0:
        return knots[0][1]
    (t0, e0), (t1, e1) = knots[after - 1], knots[after]
    return e0 + (e1 - e0) * (at_ns - t0) / (t1 - t0)


def _time(knot: tuple[float, float]) -> float:
    return knot[0]


def _edge_bound(times: Sequence[int], values: Sequence[float], at_ns: int, refresh_ns: int) -> tuple[float, float]:
    """Return bounds of the true energy at `at_ns`, from the reads around it.

    Where the samples end less than a refresh period after the edge, what may have come since is bounded by the
    steepest rise seen.
    """
    low = values[bisect_right(times, at_ns) - 1]
    after = bisect_left(times, at_ns + refresh_ns)
    if after < len(times):
        return low, values[after]
    knots = _knots(times, values, refresh_ns)
    steepest = _steepest_watts(knots, times[0], times[-1]) or 0.0
    return low, values[-1] + steepest * (at_ns + refresh_ns - times[-1]) / 1e9


def _steepest_watts(knots: Sequence[tuple[float, float]], start_ns: float, end_ns: float) -> float | None:
    slopes = [(e1 - e0) / (t1 - t0) * 1e9 for (t0, e0), (t1, e1) in pairwise(knots) if t1 > start_ns and t0 < end_ns]
    return max(slopes, default=None)


def _lost_to_resets(series: Series, start_ns: int, end_ns: int) -> float:
    """Return the seconds of the window that a counter did not count, from the read before each reset to the reset."""
    lost = 0
    for at_ns, reason in series.rejections:
        if reason is Reason.RESET:
            before = bisect_left(series.times_ns, at_ns) - 1
            since = max(start_ns, series.times_ns[before]) if before >= 0 else start_ns
            lost += max(0, min(end_ns, at_ns) - since)
    return lost / 1e9


# --- gauges ---------------------------------------------------------------------------------------------------------


def _integrated(series: Series, start_ns: int, end_ns: int) -> tuple[Energy, float | None, tuple[str, ...]]:
    """Integrate power by trapezoids, the ends interpolated.

    Between two reads the power is taken to lie between them; at each end the reading may be one refresh period old.
    """
    points = _clipped(series.times_ns, series.values, start_ns, end_ns)
    joules = lower = upper = 0.0
    for (t0, p0), (t1, p1) in pairwise(points):
        seconds = (t1 - t0) / 1e9
        joules += (p0 + p1) / 2 * seconds
        lower += min(p0, p1) * seconds
        upper += max(p0, p1) * seconds
    edges = series.channel.refresh_seconds * (abs(points[0][1]) + abs(points[-1][1]))
    energy = Energy(joules, max(0.0, lower - edges), upper + edges)
    return energy, max(power for _, power in points), ()


def _clipped(times: Sequence[int], powers: Sequence[float], start_ns: int, end_ns: int) -> list[tuple[int, float]]:
    first, last = bisect_right(times, start_ns), bisect_left(times, end_ns)
    inner = [(times[i], powers[i]) for i in range(first, last)]
    return [(start_ns, _power_at(times, powers, start_ns)), *inner, (end_ns, _power_at(times, powers, end_ns))]


def _power_at(times: Sequence[int], powers: Sequence[float], at_ns: int) -> float:
    after = bisect_left(times, at_ns)
    if times[after] == at_ns:
        return powers[after]
    t0, t1 = times[after - 1], times[after]
    return powers[after - 1] + (powers[after] - powers[after - 1]) * (at_ns - t0) / (t1 - t0)
