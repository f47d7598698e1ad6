"""The edges of a window are read at the high rate, however long the workload takes to begin."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.runtime.clock import Timebase
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.runner.client import WorkloadProcess
from agent.workloads.transformer.spec import TransformerSpec
from probes.model import Channel, Device, Kind, Rejection
from recordings import recorded
from store.records import Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.system

GPU = Device("GPU-1", Kind.GPU)
TINY = TransformerSpec(layers=1, width=16, heads=2, vocabulary=32, prompt_tokens=4, output_tokens=3)
SLOW_GC = """if True:
    import gc, sys, time
    collect = gc.collect
    gc.collect = lambda *_: (time.sleep(0.3), collect())
    from agent.workloads.runner.worker import main
    sys.exit(main())
"""


class CounterProbe:
    """An energy counter that shows a new value every `refresh_seconds` of the clock; notes when it did first."""

    name, files_only = "counter", True

    def __init__(self, refresh_seconds: float) -> None:
        self.channels = (Channel(GPU, "board", "energy_joules", refresh_seconds=refresh_seconds),)
        self.rejections: list[Rejection] = []
        self._refresh_ns = round(refresh_seconds * 1e9) or 1

    def read(self, at_ns: int) -> Sequence[float]:
        return [float(at_ns // self._refresh_ns), 1.0][: len(self.channels)]

    def close(self) -> None:
        pass


def reads_between(ticks: Sequence[Tick], start_ns: int, end_ns: int) -> int:
    return sum(start_ns <= tick.start_ns < end_ns for tick in ticks)


def test_reads_are_at_the_high_rate_at_both_edges_of_a_window_of_a_child_that_starts_slowly() -> None:
    pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
    probe, timebase, ticks = CounterProbe(0.0), Timebase.now(), list[Tick]()  # read every 0.1 s, and every 5 ms
    with WorkloadProcess([sys.executable, "-P", "-c", SLOW_GC]) as process:
        process.start(TINY, EngineSpec(device="cpu", threads=1))
        process.prepare({"batch": 1})
        with recorded([probe], ticks.extend, timebase) as active_recording:
            active_recording.wait_for_first_ticks()
            time.sleep(1.5)  # the high rate of the start is over
            active_recording.await_counter_refresh()
            measured = process.measure("prefill", 3.0, 1, active_recording.mark_edge)
            active_recording.wait_for_last_ticks()
    start_ns, end_ns = timebase.unix_ns(measured.start_ns), timebase.unix_ns(measured.end_ns)
    tenth_ns = 100_000_000  # one read at the base rate, twenty at the high rate; a busy host misses some
    assert reads_between(ticks, start_ns - tenth_ns, start_ns) >= 5
    assert reads_between(ticks, start_ns, start_ns + tenth_ns) >= 5
    assert reads_between(ticks, end_ns, end_ns + tenth_ns) >= 5
    middle_ns = (start_ns + end_ns) // 2 + 7 * tenth_ns
    assert reads_between(ticks, middle_ns - tenth_ns, middle_ns + tenth_ns) <= 4


def test_a_slow_gauge_of_the_same_probe_does_not_prolong_the_high_rate() -> None:
    """A GPU has a counter of 0.1 s beside an average over 1 s, and its slow reads would use up the budget."""
    probe, timebase, ticks = CounterProbe(0.1), Timebase.now(), list[Tick]()
    probe.channels += (Channel(GPU, "board-average", "power_watts", method="average", refresh_seconds=1.0),)
    with recorded([probe], ticks.extend, timebase) as active_recording:
        active_recording.await_counter_refresh()
        active_recording.mark_edge()
        edge_ns = timebase.now_ns()
        active_recording.wait_for_last_ticks()
    tenth_ns = 100_000_000  # five reads at the base rate, twenty at the high rate; a busy host misses some
    assert reads_between(ticks, edge_ns, edge_ns + tenth_ns) >= 6
    assert reads_between(ticks, edge_ns + 3 * tenth_ns, edge_ns + 9 * tenth_ns) <= 32


@pytest.mark.parametrize(("refresh_seconds", "pause_seconds"), [(0.05, 0.03), (0.1, 0.03), (0.1, 0.43)])
def test_an_edge_of_our_own_comes_right_after_a_refresh_of_a_slow_counter(
    refresh_seconds: float, pause_seconds: float
) -> None:
    probe, timebase, ticks = CounterProbe(refresh_seconds), Timebase.now(), list[Tick]()
    refresh_ns, since = round(refresh_seconds * 1e9), list[float]()
    with recorded([probe], ticks.extend, timebase) as active_recording:
        active_recording.wait_for_first_ticks()
        for _ in range(10):
            active_recording.await_counter_refresh()
            since.append(time.monotonic_ns() % refresh_ns / refresh_ns)
            active_recording.mark_edge()
            time.sleep(pause_seconds)
    assert sorted(since)[len(since) // 2] < 0.3  # a moment at random would be half a refresh after one


@pytest.mark.parametrize("refresh_seconds", [1e6, 0.001])
def test_a_counter_that_never_changes_or_is_fast_delays_no_edge(refresh_seconds: float) -> None:
    probe, done = CounterProbe(refresh_seconds), threading.Event()
    with recorded([probe], lambda _: None) as active_recording:
        active_recording.wait_for_first_ticks()
        threading.Thread(target=lambda: (active_recording.await_counter_refresh(), done.set())).start()
        assert done.wait(10)
