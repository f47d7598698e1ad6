"""A session goes through idle, warm-up and repeats in order, and hands over each window as it is complete."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import pytest

from agent.clock import Timebase
from agent.profiling.session import EFFORTS, SETTLE_SECONDS, Effort, Session, planned_seconds
from agent.workloads.errors import WorkloadError
from agent.workloads.protocol import Measured, Ready
from store.records import Window

READY = Ready("engine", "1", "cpu", 1, "fp32", 10, 40, None, ("prefill", "decode"), 0.1)
SWIFT = Effort("custom", 0.01, 0.0, 3, 0.01, 2)


@dataclass
class FakeWorkload:
    """Pretends to measure; its rate in iterations a second is taken from `rates` in turn, the last for ever."""

    rates: list[float] = field(default_factory=lambda: [100.0])
    fails_at: int = 0
    asked: list[tuple[str, float, int]] = field(default_factory=list)
    prepared: list[int] = field(default_factory=list)

    def prepare(self, batch: int) -> None:
        self.prepared.append(batch)

    def measure(self, phase: str, seconds: float, iterations: int) -> Measured:
        self.asked.append((phase, seconds, iterations))
        if len(self.asked) == self.fails_at:
            raise WorkloadError("it broke")
        rate = self.rates[min(len(self.asked), len(self.rates)) - 1]
        end_ns = time.monotonic_ns()
        return Measured(phase, end_ns - round(1e9 / rate), end_ns, 1, 2, 3, 4, (1 / rate,), ())


@dataclass
class Heard:
    """Hears the progress."""

    steps: list[tuple[int, int | None, str]] = field(default_factory=list)

    def step(self, done: int, total: int | None, doing: str) -> None:
        self.steps.append((done, total, doing))

    def note(self, text: str) -> None:
        raise AssertionError(text)


def go(workload: FakeWorkload, effort: Effort = SWIFT, batches: tuple[int, ...] = (1,)) -> tuple[list[Window], Heard]:
    kept, heard, slept = list[Window](), Heard(), list[float]()
    points = len(batches)
    session = Session("run", effort, Timebase(1000), kept.append, heard, points=points, phases=2, sleep=slept.append)
    try:
        session.run(workload, lambda: READY, batches)
    finally:
        assert session.windows == kept
    assert session.ready == READY
    assert slept == [SETTLE_SECONDS, effort.idle_seconds] * 2
    return kept, heard


def test_a_run_is_idle_then_loads_then_repeats_all_phases_of_each_point_in_turn() -> None:
    workload = FakeWorkload()
    windows, heard = go(workload, batches=(1, 8))
    assert [(w.point, w.phase, w.repeat) for w in windows] == [
        ("", "idle_unloaded", 0),
        ("", "idle_loaded", 0),
        *(
            (point, phase, repeat)
            for point in ("batch=1", "batch=8")
            for repeat in (1, 2, 3)
            for phase in ("prefill", "decode")
        ),
    ]
    assert workload.prepared == [1, 8]
    assert {asked[1:] for asked in workload.asked} == {(0.01, 2)}
    assert [done for done, _, _ in heard.steps] == list(range(20))
    assert {total for _, total, _ in heard.steps} == {19}
    assert heard.steps[1][2] == "loading the model"
    assert heard.steps[-1][2] == "done"


def test_windows_bear_unix_times_and_all_that_was_counted() -> None:
    windows, _ = go(FakeWorkload())
    last = windows[-1]
    assert last.end_ns - last.start_ns == 10_000_000
    assert abs(last.end_ns - 1000 - time.monotonic_ns()) < 5e9
    assert (last.iterations, last.inferences, last.input_tokens, last.output_tokens) == (1, 2, 3, 4)
    assert last.latencies_seconds == (0.01,)


def test_warming_up_ends_when_the_rate_is_steady() -> None:
    slow_then_even = FakeWorkload([10, 20, 40, 60, 80, 100, 100, 100, 100])
    go(slow_then_even, replace(SWIFT, warmup_seconds=60.0))
    chunks = [asked for asked in slow_then_even.asked if asked[1:] == (1.0, 1)]
    prefill = [phase for phase, _, _ in chunks].count("prefill")
    assert 6 <= prefill <= 9
    assert [phase for phase, _, _ in chunks].count("decode") == 4


def test_warming_up_ends_when_its_time_is_over_even_if_the_rate_still_climbs() -> None:
    climbing = FakeWorkload([1.1**power for power in range(5000)])
    began = time.monotonic()
    go(climbing, replace(SWIFT, warmup_seconds=0.05))
    assert time.monotonic() - began < 10
    assert len(climbing.asked) > 6


def test_what_was_complete_before_a_failure_is_kept() -> None:
    kept, workload = list[Window](), FakeWorkload(fails_at=4)
    session = Session("run", SWIFT, Timebase(0), kept.append, Heard(), points=1, phases=2, sleep=lambda _: None)
    with pytest.raises(WorkloadError, match="it broke"):
        session.run(workload, lambda: READY, (1,))
    assert [(window.phase, window.repeat) for window in kept[2:]] == [("prefill", 1), ("decode", 1), ("prefill", 2)]
    assert session.windows == kept


@pytest.mark.parametrize("effort", EFFORTS.values(), ids=EFFORTS)
def test_the_planned_time_holds_idle_warm_up_and_repeats(effort: Effort) -> None:
    one, eight = planned_seconds(effort, 1), planned_seconds(effort, 8)
    assert one > 2 * (effort.idle_seconds + SETTLE_SECONDS) + effort.repeats * effort.window_seconds
    assert eight - one == pytest.approx(7 * (one - 2 * (effort.idle_seconds + SETTLE_SECONDS)))


def test_more_effort_takes_longer_and_never_fewer_repeats_than_a_valid_point_needs() -> None:
    quick, standard, rigorous = EFFORTS.values()
    assert planned_seconds(quick, 8) < planned_seconds(standard, 8) < planned_seconds(rigorous, 8)
    assert min(effort.repeats for effort in EFFORTS.values()) >= 3
    assert rigorous.window_seconds >= 60
