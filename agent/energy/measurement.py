"""The energy of one period, by device and domain and in total; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy
from agent.energy.counted_sensors import best_series, cover
from agent.energy.provenance import provenance
from agent.energy.read_rates import needed_seconds
from agent.energy.window import NO_SAMPLE, WindowEnergy, method_of, window_energy, with_gauge_comparison
from probes.model import ENERGY_METRICS, TASK_COUNTER
from store.records import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.energy.counted_sensors import Coverage
    from agent.energy.provenance import Provenance
    from probes.model import Channel
    from store.records import Layout, Tick


@dataclass(frozen=True, slots=True)
class Measurement:
    """The energy from `start_ns` to `end_ns`.

    `total` is None if one of its sensors has no energy or is stuck; `readings` are those of all sensors, in the total
    or not.
    """

    start_ns: int
    end_ns: int
    total: Energy | None
    source: Provenance | None
    coverage: Coverage
    readings: tuple[WindowEnergy, ...]

    @property
    def seconds(self) -> float:
        """The length of the period."""
        return (self.end_ns - self.start_ns) / 1e9


def with_causes(measured: Measurement, faults: Mapping[tuple[str, str], str]) -> Measurement:
    """Return a measurement that gives the fault of a sensor, by (device id, domain), for its missing energy."""
    readings = tuple(
        replace(reading, reasons=(fault, *(reason for reason in reading.reasons if reason not in NO_SAMPLE)))
        if reading.energy is None and (fault := faults.get(reading.channel.place, ""))
        else reading
        for reading in measured.readings
    )
    return replace(measured, readings=readings)


def series_of(layouts: Iterable[Layout], ticks: Iterable[Tick]) -> tuple[Series, ...]:
    """Return every series of energy or power in a batch of ticks."""
    by_layout: dict[int, list[Tick]] = {}
    for tick in ticks:
        by_layout.setdefault(tick.layout, []).append(tick)
    return tuple(
        _series(channel, position, by_layout.get(layout.id, ()))
        for layout in layouts
        for position, channel in enumerate(layout.channels)
        if channel.metric in ENERGY_METRICS
    )


def _series(channel: Channel, position: int, ticks: Sequence[Tick]) -> Series:
    read = [tick for tick in ticks if not math.isnan(tick.values[position])]
    refused = tuple(
        (tick.start_ns, rejection.reason)
        for tick in ticks
        for rejection in tick.rejections
        if rejection.channel == position
    )
    return Series(
        channel,
        tuple((tick.start_ns + tick.end_ns) // 2 for tick in read),
        tuple(tick.values[position] for tick in read),
        refused,
        tuple((tick.end_ns - tick.start_ns + 1) // 2 for tick in read),
    )


def measure(series: Iterable[Series], start_ns: int, end_ns: int, channels: Iterable[Channel] = ()) -> Measurement:
    """Return the energy between two times from the series around them, one reading for each (device, domain).

    In a domain with a counter and a gauge the counter counts, and the gauge is a comparison. `channels` are all
    channels of the host, so that devices without a sensor are reported as not covered. Raises ValueError if the end is
    not after the start.
    """
    found = tuple(series)
    best = best_series(found)
    covered = cover(best, channels)
    counted = {channel.key for channel in covered.includes}
    readings = tuple(_reading(each, found, start_ns, end_ns) for each in best)
    total = Energy(0.0, 0.0, 0.0) if counted else None
    for reading in readings:
        if reading.channel.key in counted and total is not None:
            total = total.plus(reading.energy) if reading.energy and not is_stuck(reading) else None
    source = provenance(covered.includes) if counted else None
    return Measurement(start_ns, end_ns, total, source, covered, readings)


def _reading(best: Series, series: Iterable[Series], start_ns: int, end_ns: int) -> WindowEnergy:
    reading = window_energy(best, start_ns, end_ns)
    place = best.channel.place
    gauges = (each for each in series if each.channel.place == place)
    gauge = next((each for each in gauges if method_of(each.channel) == "integrated"), None)
    if reading.method != "counter" or gauge is None:
        return reading
    return with_gauge_comparison(reading, window_energy(gauge, start_ns, end_ns))


WINDOW_MARGIN_FACTOR = 1.5
"""The length of a window over the time that its sensors need, as a margin for late reads."""


def longest_needed_seconds(channels: Iterable[Channel], tolerance: float) -> float:
    """Return the window length in seconds from which every sensor measures energy to within a share `tolerance`.

    It is 1.5 times the time that they need when read on time. Sensors for which no length suffices do not count;
    without others the result is 0.
    """
    needed = (needed_seconds(channel, tolerance) for channel in channels if channel.metric in ENERGY_METRICS)
    return WINDOW_MARGIN_FACTOR * max((seconds for seconds in needed if math.isfinite(seconds)), default=0.0)


def enforce_tolerance(measured: Measurement, tolerance: float) -> Measurement:
    """Return a measurement without the energies whose bound is wider than a share `tolerance`, each with the reason.

    The bound of the total counts for the total, so a small part can be refused while the total is not.
    """
    readings = tuple(_enforce_reading_tolerance(reading, measured.seconds, tolerance) for reading in measured.readings)
    total = measured.total if measured.total and relative_half_width(measured.total) <= tolerance else None
    return replace(measured, readings=readings, total=total)


def is_stuck(reading: WindowEnergy) -> bool:
    """Return whether a counter showed no energy: a running device draws power, so the counter is dead or too slow.

    A gauge can show 0 W, for example that of a power supply on standby, and the tasks of a group can all rest.
    """
    is_counter = reading.method == "counter" and reading.channel.method != TASK_COUNTER
    return is_counter and reading.energy is not None and not reading.energy.joules


def relative_half_width(energy: Energy) -> float:
    """Return half the width of the bound as a share of the energy; infinite for 0 J."""
    return (energy.upper - energy.lower) / 2 / energy.joules if energy.joules else math.inf


def _enforce_reading_tolerance(reading: WindowEnergy, seconds: float, tolerance: float) -> WindowEnergy:
    if reading.energy is None or relative_half_width(reading.energy) <= tolerance:
        return reading
    share = relative_half_width(reading.energy)
    needed = max(needed_seconds(reading.channel, tolerance), seconds * share / tolerance)
    if math.isinf(share):
        why = "it stood still"
    else:
        why = f"±{100 * share:.2g} % of it left open, ±{100 * tolerance:.2g} % asked for: " + (
            f"it needs {needed:.2g} s or more" if math.isfinite(needed) else "no length of time is enough"
        )
    return replace(reading, energy=None, mean_watts=None, peak_watts=None, reasons=(*reading.reasons, why))
