"""Sweeps of a scripted workload: its windows, its progress, and its stopping rule."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from agent.host.activity import ActivitySnapshot
from agent.profiling.analysis.startup import FIRST_RUN, LOAD
from agent.profiling.plan import SETTLE_SECONDS, MeasurementPlan
from agent.profiling.sweep import Sweep
from agent.runtime.clock import Timebase
from agent.workloads.errors import OutOfMemoryError, WorkloadError
from agent.workloads.point import decode_point, encode_point, point_name, points_of
from agent.workloads.runner.protocol import Measured, Prepared, Ready
from probes.cpu.utilization import Times
from store.records import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.workloads.point import Point

READY = Ready("engine", "1", "cpu", 1, "fp32", 10, 40, None, ("prefill", "decode"), 0.1)
replace_ready = partial(msgspec.structs.replace, READY)
SWIFT = MeasurementPlan("custom", 0.01, 0.0, 3, 0.01, 2)
CLOSE = replace(SWIFT, tolerance=0.05)
WARMING = replace(SWIFT, warmup_seconds=1e-9)
STARTS = {LOAD, FIRST_RUN}
ONE, EIGHT = points_of({"batch": (1, 8)})
KEY_1, KEY_8 = encode_point(ONE), encode_point(EIGHT)


@dataclass
class FakeWorkload:
    """Pretends to measure; its rate in iterations a second is taken from `rates` in turn, the last one repeats."""

    rates: list[float] = field(default_factory=lambda: [100.0])
    fails_at: int = 0
    lacking: dict[str, OutOfMemoryError] = field(default_factory=dict)
    asked: list[tuple[str, float, int]] = field(default_factory=list)
    prepared: list[Point] = field(default_factory=list)

    def prepare(self, parameters: Point) -> Prepared:
        self.prepared.append(parameters)
        if error := self.lacking.pop(encode_point(parameters), None):
            raise error
        return Prepared(1, 2)

    def measure(
        self, phase: str, seconds: float, iterations: int, edge: Callable[[], object] = lambda: None
    ) -> Measured:
        self.asked.append((phase, seconds, iterations))
        edge()
        edge()
        if len(self.asked) == self.fails_at:
            raise WorkloadError("it broke")
        rate = self.rates[min(len(self.asked), len(self.rates)) - 1]
        end_ns = time.monotonic_ns()
        return Measured(phase, end_ns - round(1e9 / rate), end_ns, 1, 2, 3, 4, (1 / rate,), ())


@dataclass
class Heard:
    """Hears the progress."""

    steps: list[tuple[int, int | None, str]] = field(default_factory=list)
    least: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(self, done: int, total: int | None, doing: str, least_seconds: float = 0.0) -> None:
        self.steps.append((done, total, doing))
        self.least.append(least_seconds)

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Rule:
    """Names the unfinished points, from one answer a repeat, of which the last one lasts; knows idle power in time."""

    answers: list[set[str]] = field(default_factory=list)
    idle_parts: int = 1000
    asked: int = 0
    parts: list[float] = field(default_factory=list)

    def unfinished(self, windows: Sequence[Window], points: Sequence[str]) -> set[str]:
        assert windows
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1] & set(points)

    def is_idle_known(self, start_ns: int, end_ns: int, part_seconds: float) -> bool:
        assert start_ns <= end_ns
        self.parts.append(part_seconds)
        return not len(self.parts) % self.idle_parts


def looks() -> Iterator[ActivitySnapshot]:
    """Yield what a host shows of which 2 of 4 processors are busy for 1 s from look to look, 1.5 s of it ours."""
    for number in count():
        busy = Times(busy=number * 100, idle=0, iowait=0, stolen=0)
        idle = Times(busy=0, idle=number * 100, iowait=0, stolen=0)
        yield ActivitySnapshot(number * 10**9, {0: busy, 1: busy, 2: idle, 3: idle}, number * 1.5, {})


@dataclass
class Went:
    """A sweep that came to its end, what it left, and the second of the glance that each look was given."""

    sweep: Sweep
    windows: list[Window]
    heard: Heard
    rule: Rule | None
    looked: list[int | None]
    loads: list[int]
    slept: list[float]


def go(
    workload: FakeWorkload,
    plan: MeasurementPlan = SWIFT,
    points: tuple[Point, ...] = (ONE,),
    seed: int = 0,
    rule: Rule | None = None,
    ready: Ready = READY,
) -> Went:
    kept, heard, suspended = list[Window](), Heard(), list[float]()
    ends, edges, seen, looked = list[int](), list[str](), looks(), list[int | None]()
    tries, loads = list[list[int]](), list[int]()

    limits = map(float, count())

    def snapshot(since: ActivitySnapshot | None) -> ActivitySnapshot:
        looked.append(since.at_ns // 10**9 if since else None)
        return next(seen)

    sweep = Sweep(
        "run",
        plan,
        Timebase(1000),
        kept.append,
        heard,
        phases=2,
        seed=seed,
        approach=lambda: edges.append("approach"),
        edge=lambda: edges.append("edge"),
        snapshot=snapshot,
        rule=rule,
        read_power_limits=lambda: {"zone": next(limits)},
        on_trial_complete=lambda: tries.append(list(workload.prepared)),
        sleep=suspended.append,
    )

    def load() -> Ready:
        loads.append(len(kept))
        return ready

    sweep.run(workload, load, lambda: ends.append(len(kept)), points)
    assert sweep.windows == kept
    assert bool(heard.notes) == bool(sweep.lost)
    assert sweep.ready == ready
    assert tries == [list(points)]  # every point, before any window of a point
    assert rule or suspended == [SETTLE_SECONDS, plan.idle_seconds] * 4
    assert ends == [len(kept) - 1]
    idle, of_a_point = ["approach", "edge"] * 2, ["approach", "edge", "edge"]
    assert sweep.lost or edges == [
        each for window in kept if window.phase not in STARTS for each in (of_a_point if window.point else idle)
    ]
    return Went(sweep, kept, heard, rule, looked, loads, suspended)


def visits(windows: list[Window]) -> list[tuple[int, str]]:
    """Return repeat and point in the order in which they were measured."""
    return list(
        dict.fromkeys((window.repeat, point_name(decode_point(window.point))) for window in windows if window.point)
    )
