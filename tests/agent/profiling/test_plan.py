"""How long a run is planned to take, and when windows are made longer for their sensors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.measurement import WINDOW_MARGIN_FACTOR
from agent.energy.read_rates import needed_seconds
from agent.profiling.plan import (
    IDLE_WINDOWS,
    PLANS,
    SETTLE_SECONDS,
    MeasurementPlan,
    lengthen_windows,
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
    close = replace(QUICK, tolerance=0.05)
    assert lengthen_windows(QUICK, [SLOW]) is QUICK
    assert lengthen_windows(close, []) is close
    assert lengthen_windows(close, [PACKAGE]) is close
    longer = lengthen_windows(close, [PACKAGE, SLOW])
    assert longer.window_seconds == WINDOW_MARGIN_FACTOR * needed_seconds(SLOW, 0.05) > 0.1 / 0.05
    assert longer.limiting_sensor == "GPU-a/board"
    assert longer.name == "quick"


def test_neither_a_model_nor_a_part_of_a_counted_sensor_makes_windows_longer() -> None:
    close = replace(QUICK, tolerance=0.05)
    assert lengthen_windows(close, [replace(MODEL, refresh_seconds=1.0)]) is close
    assert lengthen_windows(close, [PACKAGE, replace(CORE, refresh_seconds=1.0)]) is close
