"""A recording starts after every sensor was read, ends after the last refresh, and is not delayed by failures."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from agent.runtime.clock import Timebase
from agent.runtime.closing import close_probes
from agent.runtime.realtime import FAVORED_NICE, RTTIME_SECONDS
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.runner.client import WorkloadProcess
from agent.workloads.runner.subprocess import run
from probes.errors import DeviceLostError, ReadError
from probes.model import Channel, Device, Kind, Rejection
from probes.registry import Discovery
from recordings import recorded
from store.errors import StoreError
from store.records import Tick
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.sampling.session import Recording


@pytest.fixture(autouse=True)
def _long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sensor that delays a recording do so for a minute, which no host is too busy to differ from."""
    monkeypatch.setattr("agent.sampling.session._LONGEST_WAIT_SECONDS", 60.0)


CHIP = Device("chip", Kind.ACCELERATOR)


@dataclass(eq=False)
class FakeProbe:
    """Reads the result of `answer`; `refresh_seconds` is stated for its one energy counter."""

    answer: Callable[[], float] = lambda: 1.0
    refresh_seconds: float = 0.02
    metric: str = "energy_joules"
    name: str = "fake"
    files_only: bool = False
    rejections: list[Rejection] = field(default_factory=list)
    on_close: Callable[[], object] = lambda: None

    @property
    def channels(self) -> tuple[Channel, ...]:
        return (Channel(CHIP, self.name, self.metric, refresh_seconds=self.refresh_seconds),)

    def read(self, _at_ns: int) -> Sequence[float]:
        return [self.answer()]

    def close(self) -> None:
        self.on_close()


def raising(error: Exception) -> Callable[[], float]:
    def answer() -> float:
        raise error

    return answer


def test_samples_extend_a_refresh_and_a_sampling_period_past_both_ends_of_a_window() -> None:
    probe, timebase, ticks = FakeProbe(refresh_seconds=0.1), Timebase.now(), list[Tick]()
    with recorded([probe], ticks.extend, timebase) as active_recording:
        active_recording.wait_for_first_ticks()
        at_ns = timebase.now_ns()
        active_recording.wait_for_last_ticks()
    past_ns = (0.1 + active_recording.sampling_period_seconds) * 1e9
    assert ticks[0].end_ns <= at_ns - past_ns
    assert ticks[-1].start_ns >= at_ns + past_ns


@pytest.mark.parametrize("error", [DeviceLostError("gone"), ReadError("no answer")])
def test_there_is_no_wait_for_a_lost_or_failing_sensor(error: Exception) -> None:
    sound, broken = FakeProbe(), FakeProbe(raising(error), name="broken")
    ticks = list[Tick]()
    began = time.monotonic()
    with recorded([sound, broken], ticks.extend) as active_recording:
        active_recording.wait_for_first_ticks()
        active_recording.wait_for_last_ticks()
    assert time.monotonic() - began < 30
    assert any(tick.layout == 0 for tick in ticks)


def test_a_few_failed_reads_do_not_shorten_the_wait_for_the_last_ticks() -> None:
    failing = threading.Event()
    failing.set()

    def answer() -> float:
        if failing.is_set():
            raise ReadError("not yet")
        return 1.0

    probe, timebase, ticks = FakeProbe(answer, refresh_seconds=0.1), Timebase.now(), list[Tick]()
    with recorded([probe], ticks.extend, timebase) as active_recording:
        active_recording.wait_for_first_ticks()
        failing.clear()
        at_ns = timebase.now_ns()
        active_recording.wait_for_last_ticks()
    assert ticks[-1].start_ns >= at_ns + 0.1e9


def test_a_sensor_without_power_is_read_once_before_the_start_and_delays_no_end() -> None:
    probe, ticks = FakeProbe(metric="temperature_celsius", refresh_seconds=60), list[Tick]()
    began = time.monotonic()
    with recorded([probe], ticks.extend) as active_recording:
        active_recording.wait_for_first_ticks()
        active_recording.wait_for_last_ticks()
    assert time.monotonic() - began < 30
    assert len(ticks) >= 1
    assert active_recording.sampling_period_seconds == 0


def test_ticks_that_cannot_be_stored_at_the_end_are_an_error() -> None:
    def refuse(_ticks: Sequence[Tick]) -> None:
        raise OSError("disk full")

    probe = FakeProbe()
    with pytest.raises(OSError, match="disk full"), recorded([probe], refuse) as it:
        it.wait_for_first_ticks()


def test_closing_does_not_wait_for_a_driver_that_hangs() -> None:
    release, closed = threading.Event(), threading.Event()
    hanging = FakeProbe(on_close=lambda: release.wait(60))
    sound = FakeProbe(on_close=closed.set)
    began = time.monotonic()
    close_probes(Discovery((sound, hanging), (), ()), 0.05)
    assert time.monotonic() - began < 30
    assert closed.wait(60)
    release.set()


def test_nothing_is_read_after_a_suspension() -> None:
    probe, before = FakeProbe(), Timebase.now()
    suspended = replace(
        before, suspended_ns=before.suspended_ns - 10_000_000_000
    )  # ten seconds less than the host's total
    ticks: list[Tick] = []
    with recorded([probe], ticks.extend, suspended) as active_recording:
        active_recording.wait_for_first_ticks()
    assert ticks == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may lower the nice value here")
@pytest.mark.parametrize("realtime", [True, False])
def test_the_recorder_is_favored_only_with_real_time_scheduling(*, realtime: bool) -> None:
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    nice: list[int] = []

    def take(_ticks: Sequence[Tick]) -> None:
        nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    probe = FakeProbe()
    with recorded([probe], take, cpu_budget=0.0, realtime=realtime) as active_recording:
        active_recording.wait_for_first_ticks()
    assert set(nice) == {FAVORED_NICE if realtime else usual}


def test_the_real_time_limit_applies_to_a_recording_and_not_to_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, inherited = resource.getrlimit(resource.RLIMIT_RTTIME), list[tuple[int, int]]()

    def refuse(*_words: object, **_more: object) -> None:
        inherited.append(resource.getrlimit(resource.RLIMIT_RTTIME))
        raise OSError("no process")

    monkeypatch.setattr("agent.workloads.runner.client.subprocess.Popen", refuse)
    script = "import pathlib, resource, sys; pathlib.Path(sys.argv[1]).write_text(str(resource.getrlimit(15)))"
    assert resource.RLIMIT_RTTIME == 15
    probe = FakeProbe()
    with recorded([probe], lambda _: None):
        within = resource.getrlimit(resource.RLIMIT_RTTIME)
        run([sys.executable, "-c", script, str(tmp_path / "limit")], lambda: None, output_to_errors=True)
        with pytest.raises(OSError, match="no process"):
            WorkloadProcess().start(OnnxSpec(tmp_path / "model.onnx"), EngineSpec())
    assert within == (round(RTTIME_SECONDS * 1e6), before[1])
    assert (tmp_path / "limit").read_text() == str(before)
    assert inherited == [before]


def test_the_cpu_time_of_the_recorder_is_charged_to_the_budget() -> None:
    def take(_ticks: Sequence[Tick]) -> None:
        began_ns = time.thread_time_ns()
        while time.thread_time_ns() - began_ns < 100_000_000:
            pass

    probe = FakeProbe(refresh_seconds=1.0)
    with recorded([probe], take) as active_recording:
        active_recording.sampler.budget.used_ns = 0
        await_true(lambda: probe_was_read(active_recording))
    assert active_recording.sampler.budget.used_ns >= 100_000_000


def probe_was_read(active_recording: Recording) -> bool:
    return all(state.ticks for state in active_recording.sampler.states)


def test_samples_that_were_dropped_because_they_could_not_be_stored_are_the_reason_of_every_channel() -> None:
    faults = []

    def take(_: Sequence[Tick]) -> None:
        raise StoreError("x.db", "the disk is full", "Free some space")

    def measure() -> None:
        with recorded([FakeProbe()], take) as active:
            faults.append(active.faults())
            active.recorder._retry_bytes = 0
            await_true(lambda: active.recorder.dropped)
            faults.append(active.faults())

    with pytest.raises(StoreError):
        measure()
    assert faults == [{}, {("chip", "fake"): "samples could not be stored: the disk is full"}]
