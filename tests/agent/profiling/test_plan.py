"""How long a run is planned to take, and when windows are made longer for their sensors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.measurement import WINDOW_MARGIN_FACTOR
from agent.energy.read_rates import needed_seconds
from agent.profiling.analysis.sequential import FEWEST_REPEATS
from agent.profiling.plan import (
    IDLE_PART_SECONDS,
    IDLE_PARTS,
    IDLE_WINDOWS,
    PLANS,
    SETTLE_SECONDS,
    MeasurementPlan,
    least_idle_seconds,
    plan_for_tolerance,
    planned_seconds,
)
from synthetic_run import CORE, GPU, MODEL, PACKAGE

QUICK = PLANS["quick"]
SLOW = replace(GPU, refresh_seconds=0.1)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_planned_time_contains_baselines_warm_up_and_repeats(plan: MeasurementPlan) -> None:
    one, eight = planned_seconds(plan, 1), planned_seconds(plan, 8)
    idle = IDLE_WINDOWS * (plan.idle_seconds + SETTLE_SECONDS)
    assert one > idle + plan.repeats * plan.window_seconds
    assert eight - one == pytest.approx(7 * (one - idle))


def test_longer_plans_take_longer_and_have_enough_repeats_for_a_valid_point() -> None:
    quick, standard, rigorous = PLANS.values()
    assert planned_seconds(quick, 8) < planned_seconds(standard, 8) < planned_seconds(rigorous, 8)
    assert min(plan.repeats for plan in PLANS.values()) >= 3
    assert rigorous.window_seconds >= 60


def test_windows_are_made_long_enough_for_the_slowest_counted_sensor() -> None:
    close = replace(QUICK, tolerance=0.05, repeats=10)
    assert plan_for_tolerance(QUICK, [SLOW]) is QUICK
    assert plan_for_tolerance(close, []) == close
    assert plan_for_tolerance(close, [PACKAGE]) == close
    longer = plan_for_tolerance(close, [PACKAGE, SLOW])
    assert longer.window_seconds == WINDOW_MARGIN_FACTOR * needed_seconds(SLOW, 0.05) > 0.1 / 0.05
    assert longer.limiting_sensor == "GPU-a/board"
    assert longer.name == "quick"
    assert longer.idle_part_seconds == longer.window_seconds / IDLE_PARTS


def test_an_idle_baseline_may_end_early_with_a_tolerance_but_not_before_its_sensors_suffice() -> None:
    close = replace(QUICK, tolerance=0.05, idle_seconds=30.0)
    assert plan_for_tolerance(close, []).repeats == FEWEST_REPEATS
    assert least_idle_seconds(QUICK) == QUICK.idle_seconds
    assert least_idle_seconds(close) == IDLE_PARTS * IDLE_PART_SECONDS
    assert least_idle_seconds(replace(close, idle_seconds=1.0)) == 1.0
    longer = plan_for_tolerance(close, [SLOW])
    assert least_idle_seconds(longer) == pytest.approx(longer.window_seconds)
    assert planned_seconds(close, 1) < planned_seconds(replace(close, tolerance=None), 1)


def test_neither_a_model_nor_a_part_of_a_counted_sensor_makes_windows_longer() -> None:
    close = replace(QUICK, tolerance=0.05, repeats=10)
    assert plan_for_tolerance(close, [replace(MODEL, refresh_seconds=1.0)]) == close
    assert plan_for_tolerance(close, [PACKAGE, replace(CORE, refresh_seconds=1.0)]) == close
