"""The threads of a calibration: sensors that hang or fail delay no other one."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from agent.runtime.clock import Timebase
from agent.sampling import calibration as module
from agent.sampling.calibration import calibrate
from agent.sampling.sampler import Sampler
from agent.sampling.schedule import ScheduledProbe
from probes import polling
from probes.errors import DeviceLostError
from probes.model import Channel, Device, Kind
from store.records import Layout
from waiting import await_true

pytestmark = pytest.mark.system

SECOND = 1_000_000_000
GPU = Device("GPU-a", Kind.GPU)
ENERGY = Channel(GPU, "board", "energy_joules", refresh_seconds=0.1)
POWER = Channel(GPU, "board", "power_watts", method="average", refresh_seconds=1.0)


def give_time(monkeypatch, longest_seconds):
    """Give real threads time to see ten changes, and to hang only if that is meant, on a busy host too."""
    monkeypatch.setattr(module, "LONGEST_SECONDS", longest_seconds)
    monkeypatch.setattr(module, "LONGEST_REFRESHES", 1_000_000)


@pytest.fixture
def _all_answer(monkeypatch):
    give_time(monkeypatch, 60.0)
    monkeypatch.setattr(polling, "STUCK_SECONDS", 60.0)


@pytest.fixture
def _some_hang(monkeypatch):
    give_time(monkeypatch, 3.0)  # a calibration with a probe that hangs lasts as long


@pytest.mark.usefixtures("_all_answer")
def test_a_lost_probe_does_not_prevent_the_calibration_of_others():
    class Lost:
        name, channels, rejections, files_only = "lost", (POWER,), [], False

        def read(self, _at_ns):
            raise DeviceLostError("gone")

    class Quick:
        name, channels, rejections, files_only = "quick", (replace(ENERGY, refresh_seconds=0.001),), [], True

        def read(self, at_ns):
            return [at_ns / SECOND]

    lost, quick = calibrate([Lost(), Quick()]).channels
    assert lost == (POWER,)
    assert quick[0].observed_refresh_seconds > 0


class Hanging:
    """A probe of one file that hangs from its second read on, until it is released."""

    channels, files_only = (ENERGY,), True

    def __init__(self, name="hanging"):
        self.name, self.rejections = name, []
        self.release = threading.Event()
        self.readers = self.most_readers = self.reads = 0

    def read(self, at_ns):
        self.readers += 1
        self.reads += 1
        self.most_readers = max(self.most_readers, self.readers)
        if self.reads > 1:
            self.release.wait(60)
        self.readers -= 1
        return [at_ns / SECOND]

    def close(self):
        pass


class Counting:
    """A probe of one file that records the threads that read it."""

    files_only = True

    def __init__(self, number):
        self.name, self.rejections, self.threads = f"hwmon/{number}", [], set()
        self.channels = (ENERGY,)

    def read(self, at_ns):
        self.threads.add(threading.get_ident())
        return [at_ns / SECOND]


@pytest.mark.usefixtures("_all_answer")
def test_all_file_probes_are_calibrated_in_one_thread():
    probes = [Counting(number) for number in range(64)]
    calibration = calibrate(probes)
    assert len(set.union(*(probe.threads for probe in probes))) == 1
    assert all(channel.observed_refresh_seconds for (channel,) in calibration.channels)
    assert not calibration.hanging


@pytest.mark.usefixtures("_some_hang")
def test_a_probe_that_hangs_at_the_start_delays_no_other_and_is_not_read_before_its_read_has_ended():
    hanging, others = Hanging(), [Counting(number) for number in range(8)]
    calibration = calibrate([hanging, *others])
    assert all(channel.observed_refresh_seconds for (channel,) in calibration.channels[1:])
    assert list(calibration.hanging) == [hanging]
    assert not calibration.hanging[hanging]()
    probes = [hanging, *others]
    paced = [ScheduledProbe(Layout(n, probe.name, probe.channels), probe, 0.01) for n, probe in enumerate(probes)]
    sampler = Sampler(paced, Timebase.now(), hanging=calibration.hanging)
    sampler.start()
    try:
        await_true(lambda: sampler.states[1].ticks > 5)
        sampler.take()
        assert (hanging.most_readers, hanging.reads) == (1, 2)
        assert sampler.states[0].hangs(time.monotonic_ns() + 60 * SECOND)
        hanging.release.set()
        await_true(calibration.hanging[hanging])
        sampler.take()
        await_true(lambda: sampler.states[0].ticks > 2)
        assert hanging.most_readers == 1
    finally:
        hanging.release.set()
        sampler.stop()


@pytest.mark.usefixtures("_some_hang")
def test_more_files_hang_at_the_start_than_threads_may_be_stuck():
    probes = [Hanging(f"hwmon/{number}") for number in range(8)]
    calibration = calibrate(probes)
    for probe in probes:
        probe.release.set()
    assert 1 <= len(calibration.hanging) <= 5
    assert all(probe.most_readers <= 1 for probe in probes)


@pytest.mark.usefixtures("_all_answer")
def test_a_fault_in_one_probe_is_logged_and_the_others_are_calibrated(caplog):
    class Faulty(Counting):
        def read(self, _at_ns):
            raise ValueError("not a number")

    good, faulty, more = Counting(0), Faulty(1), Counting(2)
    calibration = calibrate([good, faulty, more])
    assert all(calibration.channels[at][0].observed_refresh_seconds for at in (0, 2))
    assert calibration.channels[1] == faulty.channels
    assert not calibration.hanging
    assert [record.getMessage() for record in caplog.records] == ["probe fault"]


@pytest.mark.usefixtures("_some_hang")
def test_a_file_that_hangs_at_the_start_delays_no_other_file_beside_any_number_of_drivers():
    class Driver(Counting):
        files_only = False

    hanging, files = Hanging(), [Counting(number) for number in range(2)]
    hanging.reads = 1  # so that its first read here hangs, before any other file is read
    calibration = calibrate([hanging, *files, *(Driver(number) for number in range(2, 8))])
    hanging.release.set()
    assert list(calibration.hanging) == [hanging]
    assert all(channel.observed_refresh_seconds for (channel,) in calibration.channels[1:])
