"""The threads of the sampler: which probes share one, and the scheduling of each."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.runtime.clock import Timebase
from agent.runtime.realtime import LIMIT_EXCEEDED_REASON, Realtime
from agent.sampling.sampler import Sampler
from agent.sampling.schedule import ScheduledProbe
from fake_probes import (
    CHANNELS,
    GOOD,
    FakeProbe,
    as_if_stuck,
    hanging_probe,
    messages,
    paced_by,
    sampling,
    sampling_threads,
)
from store.records import Layout
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.system


def test_file_probes_share_a_thread_and_others_have_their_own() -> None:
    files = [FakeProbe(name=f"hwmon/{number}", files_only=True) for number in range(5)]
    with sampling(*files, FakeProbe(name="nvml/0"), FakeProbe(name="nvml/1")) as sampler:
        assert sampling_threads() == ["files", "nvml/0", "nvml/1"]
        await_true(lambda: all(state.ticks > 3 for state in sampler.states))
    assert {tick.layout for tick in sampler.take()} == set(range(1, 8))


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
