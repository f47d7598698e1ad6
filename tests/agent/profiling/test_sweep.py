"""A sweep goes through idle, warm-up and repeats in order, and hands over each window as it is complete."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import msgspec
import pytest

from agent.host.activity import ActivitySnapshot
from agent.host.records import window_key
from agent.profiling.analysis.startup import FIRST_RUN, LOAD
from agent.profiling.plan import IDLE_PARTS, SETTLE_SECONDS, MeasurementPlan
from agent.profiling.sweep import Sweep
from agent.runtime.clock import Timebase
from agent.workloads.errors import OutOfMemoryError, WorkloadError
from agent.workloads.model_record import LoadedModel
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


def test_a_run_is_idle_then_repeats_all_phases_of_every_point_and_is_idle_again() -> None:
    workload = FakeWorkload()
    went = go(workload, points=(ONE, EIGHT))
    windows = went.windows
    assert [(w.phase, w.repeat) for w in windows if not w.point] == [
        ("idle_unloaded", 0),
        ("first_run", 0),
        ("idle_loaded", 0),
        ("idle_loaded", 1),
        ("idle_unloaded", 1),
    ]
    assert [bool(window.point) for window in windows] == [False] * 3 + [True] * 12 + [False] * 2
    assert [w.phase for w in windows if w.point] == ["prefill", "decode"] * 6
    assert [repeat for repeat, _ in visits(windows)] == [1, 1, 2, 2, 3, 3]
    for repeat in (1, 2, 3):
        assert {point for number, point in visits(windows) if number == repeat} == {"batch=1", "batch=8"}
    steps = went.heard.steps
    assert [done for done, _, _ in steps] == list(range(24))
    assert {total for _, total, _ in steps} == {23}
    assert [steps[number][2] for number in (1, 2, -3, -1)] == [
        "loading the model",
        "trying every point",
        "ending the workload",
        "done",
    ]


def test_the_order_of_the_points_differs_between_repeats_and_follows_from_the_seed() -> None:
    points, long = points_of({"batch": (1, 2, 4, 8, 16)}), replace(SWIFT, repeats=6)
    first, again, other = (visits(go(FakeWorkload(), long, points, seed).windows) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    orders = {tuple(point for number, point in first if number == repeat) for repeat in range(1, 7)}
    assert len(orders) > 1


def test_a_point_is_prepared_once_in_a_row_and_warmed_up_when_it_returns() -> None:
    alone, swept = FakeWorkload(), FakeWorkload()
    go(alone)
    assert alone.prepared == [ONE]
    assert len(alone.asked) == 6
    seen = visits(go(swept, WARMING, points=(ONE, EIGHT)).windows)
    before = [(0, "batch=8"), *seen]  # the last one that was tried
    changes = [visit for last, visit in zip(before, seen, strict=False) if visit[1] != last[1]]
    assert [point_name(point) for point in swept.prepared] == ["batch=1", "batch=8", *(point for _, point in changes)]
    short = [asked for asked in swept.asked if asked[2] == 1]
    assert len(short) == 2 * sum(repeat > 1 for repeat, _ in changes)


def test_a_plan_without_a_warm_up_measures_nothing_but_its_windows() -> None:
    swept = FakeWorkload()
    go(swept, points=(ONE, EIGHT))
    assert [asked[2] for asked in swept.asked] == [SWIFT.iterations] * 12


def test_the_power_limits_are_read_at_both_edges_of_each_window() -> None:
    went = go(FakeWorkload(), points=(ONE, EIGHT))
    limits = went.sweep.power_limits
    assert limits.keys() == {window_key(window) for window in went.windows if window.point}
    assert {tuple(each["zone"] % 2 for each in edges) for edges in limits.values()} == {(0, 1)}
    assert len({edges[0]["zone"] for edges in limits.values()}) == 12


def test_every_window_has_the_load_around_it() -> None:
    went = go(FakeWorkload())
    assert went.looked == [seen for number in range(10) for seen in (None, 2 * number)]
    assert went.sweep.loads.keys() == {window_key(window) for window in went.windows if window.phase not in STARTS}
    assert len(went.sweep.loads) == 4 + 6  # the idle baselines as well
    (load,) = set(went.sweep.loads.values())
    assert (load.seconds, load.processors, load.own, load.others) == (1.0, 4, 1.5, 0.5)


def test_every_step_reports_the_least_time_of_the_rest() -> None:
    went = go(FakeWorkload())
    plan, idle = SWIFT, SETTLE_SECONDS + SWIFT.idle_seconds
    whole = 4 * idle + 2 * plan.repeats * plan.window_seconds
    assert went.heard.least[0] == pytest.approx(whole)
    assert went.heard.least[1] == pytest.approx(whole - idle)
    assert went.heard.least[-2] == pytest.approx(idle)
    assert went.heard.least[-1] == 0


def test_repeats_continue_for_unfinished_points() -> None:
    rule = Rule([{KEY_8}, {KEY_8}, set()])
    went = go(FakeWorkload(), CLOSE, (ONE, EIGHT), rule=rule)
    points = [point for _, point in visits(went.windows)]
    assert (points.count("batch=1"), points.count("batch=8")) == (3, 5)
    assert rule.asked == 3
    done, total, last = went.heard.steps[-1]
    assert (done, last) == (total, "done")
    assert went.heard.steps[-2][0] == done - 1


def test_an_idle_baseline_ends_when_its_power_is_known() -> None:
    plan = replace(CLOSE, idle_seconds=3.0)
    early, late = Rule([set()], idle_parts=4), Rule([set()])
    assert go(FakeWorkload(), plan, rule=early).slept == [SETTLE_SECONDS, *[0.5] * 4] * 4
    assert go(FakeWorkload(), plan, rule=late).slept == [SETTLE_SECONDS, *[0.5] * 6] * 4
    assert set(early.parts) == {0.5}


def test_the_least_time_of_a_run_with_a_tolerance_has_the_shortest_baselines() -> None:
    went = go(FakeWorkload(), replace(CLOSE, idle_seconds=3.0), rule=Rule([set()], idle_parts=4))
    assert went.heard.least[-2] == pytest.approx(SETTLE_SECONDS + IDLE_PARTS * 0.5)


def test_no_repeat_starts_that_would_exceed_the_budget_except_those_of_the_plan() -> None:
    rule = Rule([{KEY_1}])
    went = go(FakeWorkload(), replace(CLOSE, budget_seconds=1e-9), rule=rule)
    assert len(visits(went.windows)) == 3
    assert rule.asked == 0


def test_windows_have_unix_times_and_all_counts() -> None:
    last = next(window for window in reversed(go(FakeWorkload()).windows) if window.point)
    assert last.end_ns - last.start_ns == 10_000_000
    assert abs(last.end_ns - 1000 - time.monotonic_ns()) < 5e9
    assert (last.iterations, last.inferences, last.input_tokens, last.output_tokens) == (1, 2, 3, 4)
    assert list(last.latencies_seconds) == [0.01]


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


def test_a_point_that_runs_out_of_memory_in_its_trial_is_left_out_and_the_others_are_measured() -> None:
    went = go(FakeWorkload(lacking={KEY_8: OutOfMemoryError("out of memory", "a smaller batch")}), points=(ONE, EIGHT))
    assert {point for _, point in visits(went.windows)} == {"batch=1"}
    assert [key for key, _ in went.sweep.lost.items()] == [KEY_8]
    assert went.heard.notes == ["warning: batch=8 is left out: out of memory"]
    assert went.loads == [1]  # the process lives on
    done, total, last = went.heard.steps[-1]
    assert (done, last) == (total, "done")
    assert went.heard.steps[-2][0] == done - 1
    assert went.heard.least[-1] == 0


def test_the_model_is_loaded_again_for_the_other_points_if_the_process_of_one_was_killed() -> None:
    killed = OutOfMemoryError("killed by SIGKILL", ended=True)
    went = go(FakeWorkload(lacking={KEY_1: killed}), points=(ONE, EIGHT))
    assert {point for _, point in visits(went.windows)} == {"batch=8"}
    assert len(went.loads) == 2
    assert went.sweep.lost == {KEY_1: killed}


def test_a_run_in_which_no_point_fits_into_memory_fails_with_the_error_of_the_first() -> None:
    lacking = {KEY_1: OutOfMemoryError("no room"), KEY_8: OutOfMemoryError("less room")}
    with pytest.raises(OutOfMemoryError, match="no room"):
        go(FakeWorkload(lacking=lacking), points=(ONE, EIGHT))


def test_the_repeats_before_a_point_runs_out_of_memory_remain() -> None:
    class Filling(FakeWorkload):
        def measure(self, *arguments: object, **options: object) -> Measured:
            if len(self.asked) == 9 and self.prepared[-1] == EIGHT:
                self.asked.append(("lost", 0.0, 0))
                raise OutOfMemoryError("out of memory")
            return super().measure(*arguments, **options)

    for seed in range(8):
        went = go(Filling(), points=(ONE, EIGHT), seed=seed)
        counts = [sum(point == name for _, point in visits(went.windows)) for name in ("batch=1", "batch=8")]
        assert counts == ([3, 3] if not went.sweep.lost else [3, counts[1]])
        if went.sweep.lost:
            assert counts[1] < 3 or went.windows[-4].phase == "prefill"


def test_loads_of_models_and_the_first_run_are_windows_at_their_own_times() -> None:
    @dataclass
    class TwoModels(FakeWorkload):
        def prepare(self, parameters: Point) -> Prepared:
            super().prepare(parameters)
            number = 1 if parameters == ONE else 2
            return Prepared(5000, 9000, LoadedModel("fp32", 1, 4, 1000 * number, 1e-6))

    ready = replace_ready(load_start_ns=1000, load_seconds=1e-6)
    went = go(TwoModels(), points=(ONE, EIGHT), ready=ready)
    starts = [window for window in went.windows if window.phase in STARTS]
    assert [(w.phase, w.repeat, w.start_ns, w.end_ns) for w in starts] == [
        ("load", 0, 2000, 3000),
        ("first_run", 0, 6000, 10000),
        ("load", 1, 3000, 4000),
    ]
    assert {key: model.load_start_ns for key, model in went.sweep.models.items()} == {KEY_1: 1000, KEY_8: 2000}


def test_windows_that_were_complete_before_a_failure_remain() -> None:
    kept, workload = list[Window](), FakeWorkload(fails_at=4)
    seen = looks()
    sweep = Sweep(
        "run",
        SWIFT,
        Timebase(0),
        kept.append,
        Heard(),
        phases=2,
        seed=0,
        approach=lambda: None,
        edge=lambda: None,
        snapshot=lambda _: next(seen),
        rule=None,
        on_trial_complete=lambda: None,
        sleep=lambda _: None,
    )
    with pytest.raises(WorkloadError, match="it broke"):
        sweep.run(workload, lambda: READY, lambda: None, (ONE,))
    assert [(window.phase, window.repeat) for window in kept[3:]] == [("prefill", 1), ("decode", 1), ("prefill", 2)]
    assert sweep.windows == kept
