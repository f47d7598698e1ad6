"""Probes and files that hang: they are isolated, dropped or read again, and the others continue."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent.runtime.clock import Timebase
from agent.sampling.probe_reader import ProbeHealth
from agent.sampling.sampler import Sampler
from agent.sampling.schedule import ScheduledProbe
from fake_files import FakeFiles
from fake_probes import (
    CHANNELS,
    GOOD,
    FakeProbe,
    as_if_stuck,
    hanging_probe,
    messages,
    paced_by,
    raising,
    sampling,
    sampling_threads,
)
from probes.counter import Counter
from probes.errors import DeviceLostError
from probes.model import Channel, Device, Kind, Reason, Rejection
from probes.rapl import RaplProbe
from store.records import Layout
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_probe_that_hangs_delays_neither_others_nor_the_stop() -> None:
    release = threading.Event()
    stuck = FakeProbe(lambda _: release.wait(60) and GOOD, name="stuck")
    with sampling(stuck, FakeProbe()) as sampler:
        await_true(lambda: sampler.states[1].ticks >= 20)
        before = time.monotonic()
        left_behind = sampler.stop(within_seconds=0.5)
        took = time.monotonic() - before
        assert sampler.states[0].ticks == 0
        release.set()
    assert left_behind == (stuck,)
    assert took < 30


def test_a_stop_abandons_no_probe_that_answers() -> None:
    with sampling(FakeProbe(), FakeProbe(), period=60.0) as sampler:
        assert sampler.stop() == ()


@pytest.mark.parametrize(
    ("began_seconds_ago", "period", "hangs"),
    [(None, 1.0, False), (9.0, 1.0, False), (11.0, 1.0, True), (100.0, 60.0, False)],
)
def test_a_read_hangs_after_three_periods_and_ten_seconds(began_seconds_ago, period: float, hangs: bool) -> None:
    now_ns = 1_000_000_000_000
    since_ns = now_ns - round(began_seconds_ago * 1e9) if began_seconds_ago else 0
    assert ProbeHealth("fake", period, reading_since_ns=since_ns).hangs(now_ns) is hangs


def test_the_state_has_the_start_of_the_read_in_progress() -> None:
    release = threading.Event()
    with sampling(FakeProbe(lambda _: release.wait(60) and GOOD), period=60.0) as sampler:
        state = sampler.states[0]
        await_true(lambda: state.reading_since_ns)
        assert not state.tried
        assert state.hangs(time.monotonic_ns() + round(181e9))
        release.set()
        await_true(lambda: sampler.states[0].tried)
        assert state.reading_since_ns == 0


def test_a_probe_that_hangs_delays_the_others_at_most_until_the_next_take(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    stuck = hanging_probe(release, "hwmon/stuck")
    others = [FakeProbe(name=name, files_only=True) for name in ("rapl", "memory")]
    with sampling(others[0], stuck, others[1]) as sampler:
        as_if_stuck(sampler, 1)
        sampler.take()
        await_true(lambda: sampler.states[0].ticks > 10 and sampler.states[2].ticks > 10)
        assert sampler.stop(within_seconds=0.1) == (stuck,)
        release.set()
    assert messages(caplog) == ["sensor does not answer: the others continue without it"]


def test_a_probe_that_answers_again_is_read_with_the_others_and_its_thread_ends() -> None:
    release = threading.Event()
    stuck = hanging_probe(release, "hwmon/stuck")
    with sampling(FakeProbe(name="rapl", files_only=True), stuck) as sampler:
        as_if_stuck(sampler, 1)
        sampler.take()
        assert sampling_threads() == ["files", "files"]
        release.set()
        await_true(lambda: sampling_threads() == ["files", "slow-files"])
        reads = stuck.reads
        await_true(lambda: stuck.reads > reads + 20)
        assert sampling_threads() == ["files", "slow-files"]
    assert not sampling_threads()


def test_repeated_hangs_of_a_probe_do_not_increase_the_number_of_threads() -> None:
    gates = [threading.Event() for _ in range(6)]
    stuck = FakeProbe(lambda n: n % 20 or gates[n // 20].wait(60) or GOOD, name="hwmon/stuck", files_only=True)
    stuck._answer = lambda n: (n % 20 or n // 20 >= len(gates) or gates[n // 20].wait(60)) and GOOD
    with sampling(FakeProbe(name="rapl", files_only=True), stuck, period=0.001) as sampler:
        for gate in gates:
            as_if_stuck(sampler, 1)
            sampler.take()
            assert len(sampling_threads()) <= 3
            gate.set()
        await_true(lambda: len(sampling_threads()) == 2)


def test_the_fifth_probe_that_hangs_is_dropped_and_the_others_continue(caplog) -> None:
    release = threading.Event()
    stuck = [hanging_probe(release, f"hwmon/{number}") for number in range(5)]
    with sampling(*stuck, FakeProbe(name="rapl", files_only=True)) as sampler:
        for number in range(5):
            as_if_stuck(sampler, number)
            sampler.take()
        await_true(lambda: sampler.states[5].ticks > 10)
        assert len(sampling_threads()) == 6
        assert [state.lost for state in sampler.states] == [False] * 4 + [True, False]
        assert sampler.states[4].reason == "hwmon/4 does not answer, as 4 other sensors: it is dropped"
        release.set()
        await_true(lambda: len(sampling_threads()) == 2)
        assert stuck[4].reads == 1
        assert sampler.states[4].ticks == 0
    assert messages(caplog).count("sensor dropped") == 1


def test_the_number_of_stuck_threads_is_bounded_and_dropped_probes_are_reported() -> None:
    release = threading.Event()
    stuck = [hanging_probe(release, f"hwmon/{number}") for number in range(12)]
    with sampling(*stuck) as sampler:
        for number in range(8):
            as_if_stuck(sampler, number)
            sampler.take()
        assert len(sampling_threads()) == 8
        assert all(state.reason == "not read: 8 sensors hang" for state in sampler.states[8:])
        assert all(probe.reads == 0 for probe in stuck[8:])
        release.set()


def test_a_probe_may_be_lost_while_it_is_being_isolated() -> None:
    release = threading.Event()
    gone = FakeProbe(lambda _: release.wait(60) and raising(DeviceLostError("gone"))(0), name="gone", files_only=True)
    with sampling(FakeProbe(name="rapl", files_only=True), gone) as sampler:
        state = sampler.states[1]
        as_if_stuck(sampler, 1)
        threading.Timer(0.01, release.set).start()
        sampler.take()
        await_true(lambda: state.lost and sampler.states[0].ticks > 10)
        await_true(lambda: len(sampling_threads()) == 1)


def test_a_read_that_ends_while_it_is_isolated_leaves_every_probe_in_one_thread() -> None:
    probes = [FakeProbe(name=name, files_only=True) for name in ("rapl", "hwmon/0", "memory")]
    with sampling(*probes, period=0.001) as sampler:
        await_true(lambda: sampler.states[0].ticks)
        for _ in range(300):
            for state in sampler.states:
                if state.reading_since_ns:
                    state.reading_since_ns -= 2_000_000_000
            sampler.take()
        with sampler._lock:  # a probe that moves is in no thread for a moment
            threads = (*sampler._threads, *sampler._isolated)
            read = [reader.probe.name for thread in threads for reader in thread.readers]
        assert sorted(read) == ["hwmon/0", "memory", "rapl"]


class Zones:
    """A RAPL probe of files, some of which may hang."""

    def __init__(self, folder: Path, count: int) -> None:
        self.answers = FakeFiles(folder, *[1_000_000] * count)
        self.release = [threading.Event() for _ in range(count)]
        self.hung: set[int] = set()
        channels = [Channel(Device(f"package-{n}", Kind.CPU), "package", "energy_joules") for n in range(count)]
        zones = [(channel, file, Counter()) for channel, file in zip(channels, self.answers.files, strict=True)]
        self.probe = RaplProbe(zones, self.pread)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        number = self.answers._numbers[fd]
        if number in self.hung:
            self.release[number].wait(60)
        return self.answers.pread(fd, size, offset)


@contextmanager
def zones_sampled(zones: Zones) -> Iterator[Sampler]:
    sampler = Sampler([ScheduledProbe(Layout(1, "rapl", zones.probe.channels), zones.probe, 0.002)], Timebase.now())
    sampler.start()
    try:
        yield sampler
    finally:
        for gate in zones.release:
            gate.set()
        sampler.stop()


@pytest.mark.system
def test_a_zone_that_hangs_is_excluded_and_the_others_of_its_probe_are_read(tmp_path: Path) -> None:
    zones = Zones(tmp_path, 3)
    with zones_sampled(zones) as sampler:
        state = sampler.states[0]
        await_true(lambda: state.ticks > 5)
        zones.hung.add(1)
        before = state.ticks
        await_true(lambda: state.reading_since_ns and state.reading_since_ns < time.monotonic_ns() - 20_000_000)
        as_if_stuck(sampler, 0)
        sampler.take()
        await_true(lambda: state.ticks > before + 10)
        tick = sampler.take()[-1]
        assert [math.isnan(value) for value in tick.values] == [False, True, False]
        assert tick.rejections == (Rejection(1, Reason.READ_ERROR),)
        assert state.faults == {1: f"{zones.answers.files[1].path} does not answer"}
        assert len(sampling_threads()) == 2
        zones.hung.clear()
        zones.release[1].set()
        await_true(lambda: not state.faults)
        await_true(lambda: not math.isnan(state.latest.values[1]))
        await_true(lambda: len(sampling_threads()) == 1)


def test_a_driver_that_hung_in_its_calibration_gets_its_own_thread_when_it_answers() -> None:
    driver, slow = FakeProbe(name="nvml/0"), paced_by(("hwmon/0", 0.005, 0.0, 0.02))
    ended = threading.Event()
    paced = [*slow, ScheduledProbe(Layout(1, driver.name, CHANNELS), driver, 0.005)]
    sampler = Sampler(paced, Timebase.now(), hanging={driver: ended.is_set})
    sampler.start()
    ended.set()
    sampler.take()
    await_true(lambda: sampler.states[1].ticks > 3)
    assert sampling_threads() == ["nvml/0", "slow-files"]
    assert sampler.stop() == ()
