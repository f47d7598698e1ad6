from __future__ import annotations

import logging
import math
import os
import statistics
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.runtime.clock import Timebase
from agent.runtime.realtime import LIMIT_EXCEEDED_REASON, Realtime
from agent.sampling.probe_reader import ProbeHealth
from agent.sampling.sampler import Sampler, tick_bytes
from agent.sampling.schedule import ScheduledProbe
from fake_files import FakeFiles
from probes.counter import Counter
from probes.errors import DeviceLostError, ReadError
from probes.model import Channel, Device, Kind, Reason, Rejection
from probes.rapl import RaplProbe
from store.records import Layout
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from store.records import Tick

GPU = Device("GPU-1", Kind.GPU)
CHANNELS = (Channel(GPU, "board", "energy_joules"), Channel(GPU, "board", "power_watts"))
GOOD = (1.0, 2.0)


class FakeProbe:
    """Returns or raises the result of `answer` for the number of the read; 0 is the first."""

    channels = CHANNELS

    def __init__(
        self,
        answer: Callable[[int], Sequence[float]] = lambda _: GOOD,
        name: str = "fake",
        *,
        files_only: bool = False,
    ) -> None:
        self.name = name
        self.files_only = files_only
        self.rejections: list[Rejection] = []
        self.reads = 0
        self._answer = answer

    def read(self, _at_ns: int) -> Sequence[float]:
        self.reads += 1
        return self._answer(self.reads - 1)

    def close(self) -> None:
        pass


def raising(*errors: BaseException | None) -> Callable[[int], Sequence[float]]:
    """Raise one error per read, or return good values for None and after the last error."""

    def answer(number: int) -> Sequence[float]:
        error = errors[number] if number < len(errors) else None
        if error:
            raise error
        return GOOD

    return answer


@contextmanager
def sampling(*probes: FakeProbe, period: float = 0.005, high: float = 0.0, queue_limit: int = 0) -> Iterator[Sampler]:
    paced = [
        ScheduledProbe(Layout(number, probe.name, probe.channels), probe, period, high)
        for number, probe in enumerate(probes, 1)
    ]
    sampler = Sampler(paced, Timebase.now(), queue_limit)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def first(sampler: Sampler, count: int = 1) -> list[Tick]:
    """Wait for a number of ticks, and return the first of them."""
    await_true(lambda: sampler.waiting >= count)
    return sampler.take()[:count]


def test_a_tick_has_the_unix_times_before_and_after_its_read() -> None:
    before = time.time_ns()
    with sampling(FakeProbe(lambda _: time.sleep(0.02) or GOOD)) as sampler:
        (tick,) = first(sampler)
    assert before - 1_000_000 <= tick.start_ns <= tick.end_ns - 20_000_000 <= time.time_ns()
    assert (tick.layout, tick.values, tick.rejections) == (1, GOOD, ())
    assert sampler.states[0].last_success_ns >= tick.end_ns
    assert sampler.states[0].read_seconds >= 0.02


def test_reads_are_on_absolute_deadlines_however_long_they_take() -> None:
    period_ns = 40_000_000
    with sampling(FakeProbe(lambda _: time.sleep(0.015) or GOOD), period=period_ns / 1e9) as sampler:
        await_true(lambda: sampler.states[0].ticks > 20)
    starts = [tick.start_ns for tick in sampler.take()]
    offsets = [(start - starts[0] + period_ns / 2) % period_ns - period_ns / 2 for start in starts]
    assert abs(statistics.median(offsets)) < period_ns / 4


def test_quick_reads_miss_no_deadline() -> None:
    with sampling(FakeProbe(), period=0.5) as sampler:
        await_true(lambda: sampler.states[0].ticks >= 2)
    assert sampler.states[0].missed == 0


def test_a_probe_that_hangs_delays_neither_others_nor_the_stop() -> None:
    release = threading.Event()
    stuck = FakeProbe(lambda _: release.wait(60) and GOOD, name="stuck")
    with sampling(stuck, FakeProbe()) as sampler:
        await_true(lambda: sampler.states[1].ticks >= 20)
        before = time.monotonic()
        left_behind = sampler.stop(within_seconds=0.1)
        took = time.monotonic() - before
        assert sampler.states[0].ticks == 0
        release.set()
    assert left_behind == (stuck,)
    assert took < 2


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


def test_ticks_beyond_the_limit_are_dropped_and_counted_exactly() -> None:
    probes = [FakeProbe(name=f"fake/{number}") for number in range(8)]
    with sampling(*probes, period=0.001, queue_limit=50) as sampler:
        await_true(lambda: sum(probe.reads for probe in probes) > 400)
        await_true(lambda: sum(probe.reads for probe in probes) > 800)
    assert sampler.waiting == 50
    assert sampler.dropped == sum(probe.reads for probe in probes) - 50


def test_the_queue_holds_as_many_ticks_as_fit_into_64_mib() -> None:
    with sampling(FakeProbe()) as sampler:
        assert sampler._threads[0].readers[0]._limit == 64 * 1024 * 1024 // tick_bytes(len(CHANNELS))


def test_a_lost_device_stops_its_own_probe_only(caplog: pytest.LogCaptureFixture) -> None:
    gone = FakeProbe(raising(None, DeviceLostError("fell off the bus")), name="gone")
    with sampling(gone, FakeProbe()) as sampler:
        await_true(lambda: sampler.states[0].lost)
        await_true(lambda: not sampler._threads[0].readers)
        reads, others = gone.reads, sampler.states[1].ticks
        await_true(lambda: sampler.states[1].ticks > others + 10)
    lost = sampler.states[0]
    assert (gone.reads, lost.up, lost.ticks) == (reads, False, 1)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == ["device lost"]


def test_a_failure_and_the_next_success_are_each_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="inferometer")
    release = threading.Event()

    def answer(number: int) -> Sequence[float]:
        if 1 <= number <= 3:
            raise ReadError("no answer")
        if number == 4:
            release.wait(60)
        return GOOD

    with sampling(FakeProbe(answer)) as sampler:
        state = sampler.states[0]
        await_true(lambda: sampler.states[0].failed == 3 and state.reading_since_ns)
        assert (state.up, state.ticks) == (False, 1)
        release.set()
        await_true(lambda: sampler.states[0].up)
    assert state.failed == 3
    assert [record.getMessage() for record in caplog.records] == ["read failed", "probe reads again"]


@pytest.mark.parametrize("fault", [ZeroDivisionError("x"), MemoryError(), SystemExit(1), KeyboardInterrupt()])
def test_a_fault_of_a_probe_does_not_end_its_reads_and_is_logged_once(
    caplog: pytest.LogCaptureFixture, fault: BaseException
) -> None:
    with sampling(FakeProbe(raising(fault, fault, fault))) as sampler:
        state = sampler.states[0]
        await_true(lambda: sampler.states[0].ticks >= 2)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info
    assert record.exc_info[0] is type(fault)
    assert (state.failed, state.up) == (3, True)


@pytest.mark.parametrize("values", [(1.0,), (1.0, 2.0, 3.0), (1.0, None), (1.0, "N/A"), None])
def test_invalid_values_are_a_fault_of_the_probe_and_not_a_tick(values) -> None:
    with sampling(FakeProbe(lambda number: GOOD if number else values)) as sampler:
        await_true(lambda: sampler.states[0].ticks)
    assert sampler.states[0].failed == 1
    assert {tick.values for tick in sampler.take()} == {GOOD}


def test_integers_become_floats() -> None:
    with sampling(FakeProbe(lambda _: (1, 2))) as sampler:
        (tick,) = first(sampler)
    assert [type(value) for value in tick.values] == [float, float]


def refusing(*reads: tuple[Sequence[float] | Exception, list[Rejection]]) -> FakeProbe:
    """Return the values or raise the error of each read, with its rejections, and then return good values."""

    def answer(number: int) -> Sequence[float]:
        given, rejections = reads[number] if number < len(reads) else (GOOD, [])
        probe.rejections.extend(rejections)
        if isinstance(given, Exception):
            raise given
        return given

    probe = FakeProbe(answer)
    return probe


def test_rejections_are_in_the_tick_of_their_read() -> None:
    reset, sentinel = Rejection(0, Reason.RESET), Rejection(1, Reason.SENTINEL)
    with sampling(refusing((GOOD, []), ((math.nan, 2.0), [reset]), ((1.0, math.nan), [sentinel]))) as sampler:
        ticks = first(sampler, 4)
    assert [tick.rejections for tick in ticks] == [(), (reset,), (sentinel,), ()]
    assert sampler.states[0].rejected == {(0, "reset"): 1, (1, "sentinel"): 1}


@pytest.mark.parametrize("error", [ReadError("nothing"), DeviceLostError("gone"), RuntimeError("a fault")])
def test_a_failed_read_with_rejections_is_a_tick(error: Exception) -> None:
    refused = [Rejection(0, Reason.READ_ERROR), Rejection(1, Reason.READ_ERROR)]
    with sampling(refusing((GOOD, []), (error, refused)), period=0.05) as sampler:
        good, bad = first(sampler, 2)
        failed_ns = bad.end_ns
    assert all(math.isnan(value) for value in bad.values)
    assert len(bad.values) == len(CHANNELS)
    assert bad.rejections == tuple(refused)
    assert bad.start_ns > good.end_ns
    state = sampler.states[0]
    assert state.failed == 1
    assert state.last_success_ns != failed_ns
    assert state.rejected == {(0, "read_error"): 1, (1, "read_error"): 1}


def test_a_failed_read_without_rejections_is_not_a_tick() -> None:
    with sampling(FakeProbe(raising(ReadError("nothing")))) as sampler:
        (tick,) = first(sampler)
    assert tick.values == GOOD
    assert sampler.states[0].failed == 1


def sampling_threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return sorted(name.removeprefix("sampling-") for name in names if name.startswith("sampling-"))


def test_file_probes_share_a_thread_and_others_have_their_own() -> None:
    files = [FakeProbe(name=f"hwmon/{number}", files_only=True) for number in range(5)]
    with sampling(*files, FakeProbe(name="nvml/0"), FakeProbe(name="nvml/1")) as sampler:
        assert sampling_threads() == ["files", "nvml/0", "nvml/1"]
        await_true(lambda: all(state.ticks > 3 for state in sampler.states))
    assert {tick.layout for tick in sampler.take()} == set(range(1, 8))


def paced_by(*settings: tuple[str, float, float, float]) -> list[ScheduledProbe]:
    """Return probes of files by (name, period, period at the high rate, time that a read takes), in seconds."""
    paced = []
    for number, (name, period, high, takes) in enumerate(settings):
        channel = replace(CHANNELS[0], read_seconds=takes)
        probe = FakeProbe(name=name, files_only=True)
        paced.append(ScheduledProbe(Layout(number, name, (channel, CHANNELS[1])), probe, period, high))
    return paced


@pytest.mark.parametrize(
    ("settings", "threads"),
    [
        ([(f"hwmon/{n}", 0.01 + 0.0001 * n, 0.0, 0.00001) for n in range(300)], ["files"]),
        ([("rapl", 0.01, 0.0005, 0.0), ("memory", 1.0, 0.0, 0.0), ("cpu", 0.1, 0.0, 0.0)], ["files"]),
        ([("rapl", 0.01, 0.0005, 0.0), *((f"hwmon/{n}", 0.1, 0.0, 0.0) for n in range(64))], ["files", "slow-files"]),
        ([("rapl", 0.01, 0.0005, 0.0), ("hwmon/0", 1.0, 0.005, 0.02)], ["files", "slow-files"]),
        ([("hwmon/0", 1.0, 0.0, 0.02)], ["slow-files"]),
    ],
)
def test_at_most_two_threads_read_files(settings, threads) -> None:
    sampler = Sampler(paced_by(*settings), Timebase.now())
    sampler.start()
    assert sampling_threads() == threads
    sampler.stop()


def as_if_stuck(sampler: Sampler, number: int) -> None:
    """Wait for the read of a probe that hangs, and set its start back by two seconds."""
    state = sampler.states[number]
    await_true(lambda: state.reading_since_ns)
    state.reading_since_ns -= 2_000_000_000


def hanging_probe(release: threading.Event, name: str, hangs_from: int = 0) -> FakeProbe:
    return FakeProbe(lambda number: (number < hangs_from or release.wait(60)) and GOOD, name=name, files_only=True)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


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
        read = [reader.probe.name for thread in (*sampler._threads, *sampler._isolated) for reader in thread.readers]
        assert sorted(read) == ["hwmon/0", "memory", "rapl"]


def test_a_slow_probe_moves_to_the_thread_of_slow_probes_and_this_is_logged_once(caplog) -> None:
    slow = [
        FakeProbe(lambda _: time.sleep(0.06) or GOOD, name=f"hwmon/slow{number}", files_only=True) for number in (1, 2)
    ]
    with sampling(FakeProbe(name="rapl", files_only=True), *slow, period=0.01) as sampler:
        await_true(lambda: len(messages(caplog)) == 2)
        reads = [probe.reads for probe in slow]
        await_true(lambda: all(probe.reads > before + 2 for probe, before in zip(slow, reads, strict=True)))
        assert sampling_threads() == ["files", "slow-files"]
        assert len(sampler.files[0].readers) == 1
    assert set(messages(caplog)) == {"probe is slow: it moves to the thread of slow probes"}
    assert not sampling_threads()


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
        await_true(lambda: not state.faults, 30)
        await_true(lambda: not math.isnan(state.latest.values[1]))
        await_true(lambda: len(sampling_threads()) == 1)


def in_seconds(seconds: float) -> int:
    return time.monotonic_ns() + round(seconds * 1e9)


def test_the_high_rate_begins_at_once_and_ends_by_itself() -> None:
    rapl, gpu = FakeProbe(name="rapl", files_only=True), FakeProbe(name="nvml/0")
    with sampling(rapl, gpu, period=60.0, high=0.002) as sampler:
        await_true(lambda: rapl.reads == gpu.reads == 1)
        sampler.high_rate_until(in_seconds(60))
        await_true(lambda: rapl.reads > 20 and gpu.reads > 20)
    with sampling(rapl, gpu, period=60.0, high=0.002) as sampler:
        before = rapl.reads
        sampler.high_rate_until(in_seconds(0.05))
        await_true(
            lambda: (
                rapl.reads > before
                and not any(group.at_high_rate for thread in sampler._threads for group in thread.groups)
            )
        )
    assert sampler.states[0].period_seconds == 60.0


def test_the_high_rate_needs_no_thread_of_its_own() -> None:
    with sampling(FakeProbe(), period=60.0, high=0.002) as sampler:
        before = threading.active_count()
        for _ in range(20):
            sampler.high_rate_until(in_seconds(60))
        assert threading.active_count() == before


def test_the_high_rate_does_not_affect_a_probe_without_one() -> None:
    probe = FakeProbe()
    with sampling(probe, period=60.0) as sampler:
        await_true(lambda: probe.reads == 1)
        sampler.high_rate_until(in_seconds(60))
        time.sleep(0.05)
        assert probe.reads == 1


def test_the_latest_tick_with_a_value_remains_while_reads_have_none() -> None:
    release = threading.Event()
    nothing = [Rejection(0, Reason.READ_ERROR), Rejection(1, Reason.READ_ERROR)]
    reads = refusing((GOOD, []), ((math.nan, math.nan), nothing), (RuntimeError("a fault"), nothing))
    probe = FakeProbe(lambda number: (number < 3 or release.wait(60)) and reads.read(0))
    reads.rejections = probe.rejections
    with sampling(probe) as sampler:
        state = sampler.states[0]
        await_true(lambda: state.failed == 1 and state.reading_since_ns)
        assert state.ticks == 2
        assert state.latest is sampler.take()[0]
        release.set()


def test_no_thread_is_real_time_by_default() -> None:
    with sampling(FakeProbe(files_only=True)) as sampler:
        await_true(lambda: sampler.states[0].ticks)
        assert (sampler.realtime.policy, sampler.realtime.reason) == ("other", "not asked for")


def test_the_end_of_every_cycle_is_reported() -> None:
    probes = [FakeProbe(name=name, files_only=True) for name in ("rapl", "memory")]
    sampler = Sampler(
        [ScheduledProbe(Layout(n, p.name, CHANNELS), p, 0.005) for n, p in enumerate(probes)], Timebase(0)
    )
    ended: list[int] = []
    sampler.start(ended.append)
    await_true(lambda: len(ended) > 3)
    sampler.stop()
    of_each = [[tick for tick in sampler.take() if tick.layout == number] for number in (0, 1)]
    for moment, *ticks in zip(ended, *of_each, strict=False):
        assert all(tick.start_ns <= moment for tick in ticks)
    assert ended == sorted(ended)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grant every request for real-time scheduling without the kernel; return the requesting threads."""
    asked: list[int] = []

    def acquire_realtime() -> Realtime:
        asked.append(threading.get_native_id())
        return Realtime("fifo", 2, None, "")

    monkeypatch.setattr("agent.sampling.sampler.acquire_realtime", acquire_realtime)
    monkeypatch.setattr("agent.sampling.sampler.demote", lambda _thread_id: True)
    return asked


def test_no_thread_becomes_real_time_after_an_overrun_and_the_record_has_it(as_root: list[int]) -> None:
    release = threading.Event()
    stuck = hanging_probe(release, "hwmon/stuck", hangs_from=3)
    paced = [
        ScheduledProbe(Layout(n, p.name, CHANNELS), p, 0.005) for n, p in enumerate((FakeProbe(files_only=True), stuck))
    ]
    sampler = Sampler(paced, Timebase.now(), realtime=True)
    sampler.start()
    try:
        await_true(lambda: sampler.realtime.policy == "fifo")
        sampler.demote()
        await_true(lambda: stuck.reads == 4)
        as_if_stuck(sampler, 1)
        sampler.take()
        ticks = sampler.states[0].ticks
        await_true(lambda: sampler.states[0].ticks > ticks + 3)
        assert sampler.realtime == Realtime("other", 0, None, LIMIT_EXCEEDED_REASON)
        assert sampler.files[0].realtime == Realtime("other", 0, None, LIMIT_EXCEEDED_REASON)
        assert len(as_root) == 1
    finally:
        release.set()
        sampler.stop()


def test_the_successor_of_a_hung_real_time_thread_is_a_real_time_thread(as_root: list[int]) -> None:
    release = threading.Event()
    probes = FakeProbe(files_only=True), hanging_probe(release, "hwmon/stuck")
    sampler = Sampler(
        [ScheduledProbe(Layout(n, p.name, CHANNELS), p, 0.005) for n, p in enumerate(probes)],
        Timebase.now(),
        realtime=True,
    )
    sampler.start()
    try:
        as_if_stuck(sampler, 1)
        sampler.take()
        await_true(lambda: len(as_root) == 2 and sampler.realtime.policy == "fifo")
    finally:
        release.set()
        sampler.stop()


def test_a_thread_has_the_cpus_and_the_nice_value_of_the_process_whichever_thread_starts_it() -> None:
    cpus, nice = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen: list[tuple[set[int], int]] = []

    def look(_number: int) -> Sequence[float]:
        seen.append((os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
        return GOOD

    sampler = Sampler(
        [ScheduledProbe(Layout(1, "rapl", CHANNELS), FakeProbe(look, files_only=True), 0.005)], Timebase.now()
    )

    def start_from_another() -> None:
        os.sched_setaffinity(0, {min(cpus)})
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice - 5 if os.geteuid() == 0 else nice)
        sampler.start()

    starter = threading.Thread(target=start_from_another)
    starter.start()
    starter.join()
    await_true(lambda: seen)
    sampler.stop()
    assert seen[0] == (cpus, nice)


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
