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


TENTH_NS = 100_000_000
"""A tenth of a second: one read at the base rate of the first test, twenty at the high rate."""
TRIES = 5
"""The number of measurements of which one must be as it should: a busy host delays or misses reads in some."""


def test_reads_are_at_the_high_rate_at_both_edges_of_a_window_of_a_child_that_starts_slowly() -> None:
    pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")
    probe, timebase, found = CounterProbe(0.0), Timebase.now(), list[tuple[int, ...]]()
    with WorkloadProcess([sys.executable, "-P", "-c", SLOW_GC]) as process:
        process.start(TINY, EngineSpec(device="cpu", threads=1))
        process.prepare({"batch": 1})
        for _ in range(TRIES):
            ticks = list[Tick]()
            with recorded([probe], ticks.extend, timebase) as active_recording:
                active_recording.wait_for_first_ticks()
                time.sleep(1.5)  # the high rate of the start is over
                active_recording.await_counter_refresh()
                measured = process.measure("prefill", 3.0, 1, active_recording.mark_edge)
                active_recording.wait_for_last_ticks()
            start_ns, end_ns = timebase.unix_ns(measured.start_ns), timebase.unix_ns(measured.end_ns)
            middle_ns = (start_ns + end_ns) // 2 + 7 * TENTH_NS
            edges = (start_ns - TENTH_NS, start_ns, end_ns)
            found.append(
                (
                    min(reads_between(ticks, edge_ns, edge_ns + TENTH_NS) for edge_ns in edges),
                    reads_between(ticks, middle_ns - TENTH_NS, middle_ns + TENTH_NS),
                )
            )
            if found[-1][0] >= 5 and found[-1][1] <= 4:
                return
    pytest.fail(f"the fewest reads at an edge, and the reads in the middle: {found}")


def test_a_slow_gauge_of_the_same_probe_does_not_prolong_the_high_rate() -> None:
    """A GPU has a counter of 0.1 s beside an average over 1 s, and its slow reads would use up the budget."""
    probe, timebase, found = CounterProbe(0.1), Timebase.now(), list[tuple[int, int]]()
    probe.channels += (Channel(GPU, "board-average", "power_watts", method="average", refresh_seconds=1.0),)
    for _ in range(TRIES):
        ticks = list[Tick]()
        with recorded([probe], ticks.extend, timebase) as active_recording:
            active_recording.await_counter_refresh()
            active_recording.mark_edge()
            edge_ns = timebase.now_ns()
            active_recording.wait_for_last_ticks()
        first = reads_between(ticks, edge_ns, edge_ns + TENTH_NS)  # five at the base rate, twenty at the high rate
        found.append((first, reads_between(ticks, edge_ns + 3 * TENTH_NS, edge_ns + 9 * TENTH_NS)))
        if first >= 6 and found[-1][1] <= 32:
            return
    pytest.fail(f"the reads at the edge, and later: {found}")


@pytest.mark.parametrize(("refresh_seconds", "pause_seconds"), [(0.05, 0.03), (0.1, 0.03), (0.1, 0.43)])
def test_an_edge_of_our_own_comes_right_after_a_refresh_of_a_slow_counter(
    refresh_seconds: float, pause_seconds: float
) -> None:
    probe, refresh_ns, medians = CounterProbe(refresh_seconds), round(refresh_seconds * 1e9), list[float]()
    for _ in range(TRIES):
        since = list[float]()
        with recorded([probe], lambda _: None) as active_recording:
            active_recording.wait_for_first_ticks()
            for _ in range(10):
                active_recording.await_counter_refresh()
                since.append(time.monotonic_ns() % refresh_ns / refresh_ns)
                active_recording.mark_edge()
                time.sleep(pause_seconds)
        medians.append(sorted(since)[len(since) // 2])
        if medians[-1] < 0.3:  # a moment at random would be half a refresh after one
            return
    pytest.fail(f"refreshes from the last one to an edge, in the median: {medians}")


@pytest.mark.parametrize("refresh_seconds", [1e6, 0.001])
def test_a_counter_that_never_changes_or_is_fast_delays_no_edge(refresh_seconds: float) -> None:
    probe, done = CounterProbe(refresh_seconds), threading.Event()
    with recorded([probe], lambda _: None) as active_recording:
        active_recording.wait_for_first_ticks()
        threading.Thread(target=lambda: (active_recording.await_counter_refresh(), done.set())).start()
        assert done.wait(60)
