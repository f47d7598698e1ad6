"""A sweep goes through idle, warm-up and repeats in order, and hands over each window as it is complete."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from agent.host.records import window_key
from agent.profiling.plan import IDLE_PARTS, SETTLE_SECONDS
from agent.profiling.sweep import Sweep
from agent.runtime.clock import Timebase
from agent.workloads.errors import WorkloadError
from agent.workloads.point import point_name, points_of
from store.records import Window
from sweeps import (
    CLOSE,
    EIGHT,
    KEY_1,
    KEY_8,
    ONE,
    READY,
    STARTS,
    SWIFT,
    WARMING,
    FakeWorkload,
    Heard,
    Rule,
    go,
    looks,
    visits,
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
