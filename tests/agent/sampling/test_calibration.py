"""The calibration of sensors, on a simulated clock."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from agent.sampling.calibration import LONGEST_SECONDS, ProbeCalibrator, calibrate
from probes.errors import ReadError
from probes.model import TASK_COUNTER, Channel, Device, Kind, Reason, Rejection, Source

SECOND = 1_000_000_000
GPU = Device("GPU-a", Kind.GPU)
ENERGY = Channel(GPU, "board", "energy_joules", refresh_seconds=0.1)
POWER = Channel(GPU, "board", "power_watts", method="average", refresh_seconds=1.0)
HEAT = Channel(GPU, "core", "temperature_celsius")


class Clock:
    def __init__(self):
        self.now = 5 * SECOND

    def monotonic_ns(self):
        return self.now

    def sleep(self, seconds):
        self.now += round(seconds * SECOND) + 60_000  # as late as Linux is


class Watched:
    """A probe whose channels each change once in a number of seconds (0: never), and whose reads take time."""

    name = "watched"
    files_only = True

    def __init__(self, clock, periods, read_seconds=0.0001, failing_from=math.inf):
        self.channels = tuple(periods)
        self.rejections = [Rejection(0, Reason.READ_ERROR)]
        self.reads = 0
        self._clock = clock
        self._periods = tuple(periods.values())
        self._read_seconds = read_seconds
        self._failing_from = failing_from

    def read(self, at_ns):
        self.reads += 1
        if self.reads >= self._failing_from:
            raise ReadError("nothing this time")
        self._clock.now += round(self._read_seconds * SECOND)
        return [float(at_ns // round(period * SECOND)) if period else 7.0 for period in self._periods]


def read_until_calibrated(probe, monotonic_ns, sleep):
    calibrator = ProbeCalibrator(probe, monotonic_ns)
    while calibrator.wanted:
        sleep(calibrator.read())
    return calibrator.channels()


def calibrated(periods, **more):
    clock = Clock()
    probe = Watched(clock, periods, **more)
    channels = read_until_calibrated(probe, clock.monotonic_ns, clock.sleep)
    return probe, channels, (clock.now - 5 * SECOND) / SECOND


@pytest.mark.parametrize("refresh", [0.001, 0.005, 0.02, 0.1])
def test_the_refresh_period_is_the_median_time_between_changes(refresh):
    _, (channel,), seconds = calibrated({replace(ENERGY, refresh_seconds=refresh): refresh})
    assert channel.observed_refresh_seconds == pytest.approx(refresh, rel=0.3 if refresh < 0.005 else 0.15)
    assert seconds < 12 * refresh + 0.01


def test_a_sensor_faster_than_stated_is_detected():
    _, (channel,), _ = calibrated({ENERGY: 0.02})
    assert channel.observed_refresh_seconds == pytest.approx(0.02, rel=0.2)
    assert channel.refresh_seconds == 0.1  # the stated longest period is unchanged


def test_a_sensor_slower_than_stated_is_detected():
    _, (channel,), _ = calibrated({replace(ENERGY, refresh_seconds=0.001, resolution=0.001): 0.02})
    assert channel.observed_refresh_seconds == pytest.approx(0.02, rel=0.2)


def test_rare_changes_by_single_steps_do_not_set_the_refresh_period():
    coarse = replace(ENERGY, refresh_seconds=0.001, resolution=1.0)  # the simulated probe counts in ones
    _, (channel,), _ = calibrated({coarse: 0.02})
    assert channel.observed_refresh_seconds == 0
    _, (channel,), _ = calibrated({replace(coarse, refresh_seconds=0.1): 0.02})
    assert channel.observed_refresh_seconds == pytest.approx(0.02, rel=0.2)


def test_every_channel_has_the_read_time_of_its_probe():
    _, channels, _ = calibrated({ENERGY: 0.1, POWER: 0.1, HEAT: 0}, read_seconds=0.003)
    assert [channel.read_seconds for channel in channels] == pytest.approx([0.003] * 3)
    assert channels[1].observed_refresh_seconds == pytest.approx(0.1, rel=0.1)
    assert channels[2].observed_refresh_seconds == 0


def test_reads_take_at_most_a_quarter_of_the_time():
    probe, _, seconds = calibrated({ENERGY: 0.1}, read_seconds=0.03)
    assert probe.reads * 0.03 < seconds / 3.9


def test_a_frozen_sensor_ends_its_calibration_early_without_a_refresh_period():
    _, (channel,), seconds = calibrated({ENERGY: 0})
    assert channel.observed_refresh_seconds == 0
    assert channel.read_seconds == pytest.approx(0.0001)
    assert seconds == pytest.approx(LONGEST_SECONDS, abs=0.05)
    _, _, seconds = calibrated({replace(ENERGY, refresh_seconds=0.001): 0})
    assert seconds == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize(("method", "named"), [("counter", True), (TASK_COUNTER, False)])
def test_a_counter_that_does_not_change_is_named_unless_its_tasks_may_rest(method, named):
    clock = Clock()
    channel = replace(ENERGY, method=method)
    calibrator = ProbeCalibrator(Watched(clock, {channel: 0}), clock.monotonic_ns)
    while calibrator.wanted:
        clock.sleep(calibrator.read())
    assert list(calibrator.unchanged()) == ([channel] if named else [])


def test_a_probe_that_fails_retains_its_channels():
    probe, channels, _ = calibrated({ENERGY: 0.1}, failing_from=1)
    assert channels == (ENERGY,)
    assert probe.rejections == []


def test_a_gauge_too_fast_to_be_read_twice_per_update_is_marked_as_aliased():
    fast = Channel(GPU, "board", "power_watts", method="instant", refresh_seconds=0.001)
    _, (channel,), _ = calibrated({fast: 0.001})
    assert channel.aliased
    _, (channel,), _ = calibrated({replace(fast, refresh_seconds=0.1): 0.1})
    assert not channel.aliased


def test_probes_without_a_measured_energy_sensor_are_not_read():
    clock = Clock()
    estimate = Watched(clock, {replace(ENERGY, source=Source.ESTIMATED): 0.1})
    heat = Watched(clock, {HEAT: 0.1})
    assert calibrate([estimate, heat]).channels == (estimate.channels, heat.channels)
    assert (estimate.reads, heat.reads) == (0, 0)


@pytest.mark.parametrize("values", [(), (None,), None])
def test_invalid_values_end_only_the_calibration_of_their_probe(values):
    clock = Clock()
    probe = Watched(clock, {ENERGY: 0.1})
    probe.read = lambda _at_ns: values
    (channel,) = read_until_calibrated(probe, clock.monotonic_ns, clock.sleep)
    assert not channel.observed_refresh_seconds
