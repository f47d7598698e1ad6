"""The ticks of the sampler, its failures and its high rate."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.sampling.sampler import Sampler, tick_bytes
from fake_probes import CHANNELS, GOOD, FakeProbe, raising, sampling
from probes.errors import DeviceLostError, ReadError
from probes.model import Reason, Rejection
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Tick

pytestmark = pytest.mark.system


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


def test_the_first_read_is_no_missed_one() -> None:
    with sampling(FakeProbe(), period=60.0) as sampler:
        await_true(lambda: sampler.states[0].ticks)
    assert sampler.states[0].missed == 0


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


def in_seconds(seconds: float) -> int:
    return time.monotonic_ns() + round(seconds * 1e9)


def test_the_high_rate_begins_at_once_and_ends_by_itself() -> None:
    rapl, gpu = FakeProbe(name="rapl", files_only=True), FakeProbe(name="nvml/0")
    with sampling(rapl, gpu, period=60.0, high=0.002) as sampler:
        await_true(lambda: rapl.reads == gpu.reads == 1)
        sampler.high_rate_until(in_seconds(60))
        await_true(lambda: rapl.reads > 20 and gpu.reads > 20)
        sampler.high_rate_until(in_seconds(0.05))
        await_true(lambda: not any(group.at_high_rate for thread in sampler._threads for group in thread.groups))
    assert sampler.states[0].period_seconds == 60.0


def test_the_high_rate_needs_no_thread_of_its_own() -> None:
    with sampling(FakeProbe(), period=60.0, high=0.002) as sampler:
        before = set(threading.enumerate())
        for _ in range(20):
            sampler.high_rate_until(in_seconds(60))
        assert set(threading.enumerate()) <= before


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
