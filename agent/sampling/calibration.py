"""Measures at the start how often each energy sensor refreshes, and how long a read takes."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from agent.energy.read_rates import mark_aliased, periods_within, run_period_seconds, update_seconds
from agent.runtime.cpu_budget import CPU_BUDGET
from agent.runtime.logs import get_logger
from probes.errors import DeviceLostError, ReadError
from probes.model import ENERGY_METRICS, TASK_COUNTER, CounterReader, Source, TimedProbe
from probes.polling import MAX_READ_SHARE, STUCK_SECONDS, read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from probes.model import Channel, Probe

CHANGES = 10
"""The number of new values to wait for; the refresh period is the median of the times between them."""
LONGEST_SECONDS = 1.2
LONGEST_REFRESHES = 12
MIN_SECONDS = 0.25
"""A sensor that does not change is read for this many of its stated refresh periods, as it may be slower than stated,
but for at least 0.25 s and at most 1.2 s."""
_MIN_STEPS = 2.0
"""Smaller changes, in steps of the sensor's resolution, result from low power and not from the refresh."""
READS_A_REFRESH = 10
FASTEST_SECONDS = 0.0002
SLOWEST_SECONDS = 0.005

UNCHANGED = "its energy counter did not change before the measurement, so it may be frozen"

log = get_logger("calibration")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The result of a calibration: the channels of each probe, in order, and the probes that hang.

    `hanging` maps each probe that a thread still reads to a function that returns whether the read has ended; no other
    thread may read it before.
    """

    channels: tuple[tuple[Channel, ...], ...]
    hanging: Mapping[Probe, Callable[[], bool]]
    unchanged: tuple[Channel, ...] = ()
    """The energy counters that were read and never changed."""
    cpu_seconds: tuple[float, ...] = ()
    """The median CPU time of a read of each probe, in seconds, 0 if it was not measured."""


def calibrate(probes: Sequence[Probe], cpu_budget: float = CPU_BUDGET) -> Calibration:
    """Calibrate all probes at the same time, within 1.2 s.

    Probes that only read files share one thread. A probe that fails or hangs stays uncalibrated, and a probe without an
    energy sensor is not read. The channels of a TimedProbe have the calibration of their own host. A gauge that
    `cpu_budget` allows to read too rarely is marked as aliased.
    """
    own = [probe for probe in probes if not isinstance(probe, TimedProbe)]
    calibrators = [ProbeCalibrator(probe) for probe in own if measured_positions(probe.channels)]
    hanging = read_all(calibrators, LONGEST_SECONDS + STUCK_SECONDS)
    calibrated = {
        calibrator.probe: calibrator.channels() for calibrator in calibrators if calibrator.probe not in hanging
    }
    channels = [calibrated.get(probe, probe.channels) for probe in probes]
    costs = {calibrator.probe: calibrator.cpu_seconds for calibrator in calibrators}
    cpu_seconds = tuple(costs.get(probe, 0.0) for probe in probes)
    periods = periods_within(channels, cpu_budget, cpu_seconds)
    marked = (mark_aliased(known, base) for known, (base, _) in zip(channels, periods, strict=True))
    unchanged = (
        channel for calibrator in calibrators if calibrator.probe not in hanging for channel in calibrator.unchanged()
    )
    return Calibration(tuple(marked), hanging, tuple(unchanged), cpu_seconds)


class ProbeCalibrator:
    """Calibrates one probe: it is read until its energy sensors have changed ten times."""

    def __init__(self, probe: Probe, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.probe = probe
        self._clock = monotonic_ns
        positions = measured_positions(probe.channels)
        self._changes: dict[int, list[int]] = {position: [] for position in positions}
        self._steps: dict[int, list[float]] = {position: [] for position in positions}
        self._last: dict[int, float] = {}
        self._costs: list[int] = []
        self._counter_costs: list[int] = []
        self._cpu_costs: list[int] = []
        slowest = max((_refresh(probe.channels[position]) for position in positions), default=0.0)
        self._period = min(slowest / READS_A_REFRESH, SLOWEST_SECONDS)
        self._failed = False
        self._ends_ns = 0

    @property
    def wanted(self) -> bool:
        """Whether another read is needed."""
        if self._failed or all(len(seen) >= CHANGES for seen in self._changes.values()):
            return False
        return not self._ends_ns or self._clock() < self._ends_ns

    def restart_time(self) -> None:
        """Restart the time limit, which ran while another probe was read."""
        self._ends_ns = 0

    def read(self) -> float:
        """Read once, and return the seconds until the next read."""
        before = self._clock()
        self._ends_ns = self._ends_ns or before + round(_longest_seconds(self.probe.channels) * 1e9)
        try:
            after = self._read(before)
        except (ReadError, DeviceLostError) as error:
            log.debug("not calibrated", probe=self.probe.name, reason=str(error))
        except Exception as error:
            log.exception("probe fault", probe=self.probe.name, reason=repr(error))
        else:
            return max(self._period, FASTEST_SECONDS, (after - before) / 1e9 / MAX_READ_SHARE)
        self._failed = True
        return 0.0

    def _read(self, before: int) -> int:
        """Read once, record the values, and return the time of the end of the read."""
        cpu_before = time.thread_time_ns()
        values = self.probe.read(before)
        after = self._clock()
        self._cpu_costs.append(time.thread_time_ns() - cpu_before)
        self._costs.append(after - before)
        self._time_counters()
        for position, seen in self._changes.items():
            value = values[position]
            if math.isnan(value):
                continue
            before_it = self._last.get(position, value)
            if before_it != value:
                seen.append(after)
                self._steps[position].append(abs(value - before_it))
            self._last[position] = value
        return after

    def _time_counters(self) -> None:
        """Time a read of only the energy counters, if the probe supports it."""
        if isinstance(self.probe, CounterReader):
            before = self._clock()
            with suppress(ReadError, DeviceLostError):
                self.probe.read_counters(before)
                self._counter_costs.append(self._clock() - before)

    @property
    def cpu_seconds(self) -> float:
        """The median CPU time of a read, in seconds, 0 without one."""
        return median(self._cpu_costs) / 1e9 if self._cpu_costs else 0.0

    def unchanged(self) -> Iterator[Channel]:
        """Yield the energy counters that returned one value only, and whose device always draws power."""
        for position, seen in self._changes.items():
            channel = self.probe.channels[position]
            is_counter = channel.metric == "energy_joules" and channel.method != TASK_COUNTER
            if is_counter and position in self._last and not seen and not self._failed:
                yield channel

    def channels(self) -> tuple[Channel, ...]:
        """Return the calibrated channels of the probe, and clear its rejections.

        `read_seconds` is the median time of a read, `observed_refresh_seconds` the median time between two changes: 0
        after fewer than three changes, or if they are as small and rare as the sensor's steps. A gauge that cannot be
        read twice per update is marked as aliased.
        """
        self.probe.rejections.clear()
        channels = self.probe.channels
        coarse = {
            position
            for position, seen in self._steps.items()
            if seen and median(seen) < _MIN_STEPS * channels[position].resolution
        }
        return _with_calibration(channels, self._changes, coarse, self._costs, self._counter_costs or self._costs)


def measured_positions(channels: Sequence[Channel]) -> tuple[int, ...]:
    """Return the positions of the channels with measured energy or power."""
    return tuple(
        position
        for position, channel in enumerate(channels)
        if channel.metric in ENERGY_METRICS and channel.source is Source.MEASURED
    )


def _refresh(channel: Channel) -> float:
    return update_seconds(channel) or SLOWEST_SECONDS * READS_A_REFRESH


def _longest_seconds(channels: Sequence[Channel]) -> float:
    """Return the time limit: twelve of the longest stated refresh periods; the maximum if one is not stated."""
    refreshes = [channels[position].refresh_seconds or LONGEST_SECONDS for position in measured_positions(channels)]
    return min(LONGEST_SECONDS, max(MIN_SECONDS, LONGEST_REFRESHES * max(refreshes, default=0.0)))


def _with_calibration(
    channels: Sequence[Channel],
    changes: dict[int, list[int]],
    coarse: Container[int],
    costs: Sequence[int],
    counter_costs: Sequence[int],
) -> tuple[Channel, ...]:
    whole, counters = (median(each) / 1e9 if each else 0.0 for each in (costs, counter_costs))
    known = []
    for position, channel in enumerate(channels):
        between = [after - before for before, after in pairwise(changes.get(position, ()))]
        observed = median(between) / 1e9 if len(between) > 1 else 0.0
        if position in coarse and observed > channel.refresh_seconds:
            observed = 0.0
        known.append(
            replace(
                channel,
                read_seconds=counters if channel.metric == "energy_joules" else whole,
                observed_refresh_seconds=observed,
            )
        )
    return mark_aliased(known, run_period_seconds(known))
