"""Idle power before and after a run: four baselines and their drift."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.profiling.analysis.idle import IDLE_LOADED, IDLE_UNLOADED, derive_baselines, derive_drift, loaded_watts
from agent.profiling.points import analyze
from simulated import constant
from synthetic_run import MODEL, PACKAGE, idle, power_steps, read, repeats, sensors

POWER = power_steps((40, 3), (50, 3), (100, 6), (56, 3), (42, 60))  # W and s: unloaded, loaded, busy and back again
WINDOWS = [
    idle(IDLE_UNLOADED, 0.5, 2.5),
    idle(IDLE_LOADED, 3.5, 5.5),
    *repeats((6, 8, 10, 12)),
    idle(IDLE_LOADED, 12.5, 14.5, side=1),
    idle(IDLE_UNLOADED, 15.5, 17.5, side=1),
]
SENSORS = sensors(read(PACKAGE, POWER, 20))


def test_every_baseline_has_its_state_and_its_side_of_the_sweep():
    found = derive_baselines(WINDOWS, SENSORS)
    assert [(each.state, each.when) for each in found] == [
        ("unloaded", "before"),
        ("loaded", "before"),
        ("loaded", "after"),
        ("unloaded", "after"),
    ]
    assert [each.watts.mean for each in found] == approx([40, 50, 56, 42])


def test_dynamic_energy_is_above_the_mean_of_both_baselines_with_bounds_that_span_both():
    (point,) = analyze(WINDOWS, SENSORS, None)
    split = point.energy.joules_per_inference
    assert split.total.mean == approx(20)
    assert split.idle.mean == approx(41 * 0.2)
    assert split.idle.lower < 40 * 0.2
    assert split.idle.upper > 42 * 0.2
    assert split.dynamic.mean == approx(20 - 41 * 0.2)


def test_drift_is_the_change_over_the_run_as_a_share_of_the_mean():
    unloaded, loaded = derive_drift(WINDOWS, SENSORS)
    assert (unloaded.state, loaded.state) == ("unloaded", "loaded")
    assert (unloaded.change_watts, unloaded.relative_change) == (approx(2), approx(2 / 41))
    assert (loaded.change_watts, loaded.relative_change) == (approx(6), approx(6 / 53))
    open_watts = (40 + 42) * 0.01 / 2  # the energy of one sampling period, over 2 s
    assert unloaded.limit == approx(0.1 + open_watts / 41)


def test_a_drift_above_its_limit_is_a_warning():
    (point,) = analyze(WINDOWS, SENSORS, None)
    (check,) = [each for each in point.checks if each.name == "idle_drift"]
    assert (check.failed, check.severity) == (True, "warning")
    assert "loaded idle power changed by +6 W over the run, 11.3 % of the mean of both (limit" in check.message
    assert point.valid


def test_the_uncertainty_of_a_model_cancels_out_and_excuses_no_drift():
    (unloaded, _) = derive_drift(WINDOWS, sensors(read(MODEL, POWER, 20)))
    assert unloaded.limit == approx(0.1)


@pytest.mark.parametrize(
    ("windows", "power"),
    [
        (WINDOWS[:-2], POWER),  # interrupted before the end
        ([WINDOWS[0], replace(WINDOWS[-1], start_ns=30 * 10**9, end_ns=31 * 10**9)], POWER),
        (WINDOWS, constant(0.0)),
    ],
)
def test_without_a_known_power_on_both_sides_there_is_no_drift(windows, power):
    assert derive_drift(windows, sensors(read(PACKAGE, power, 20))) == ()


def test_the_loaded_power_is_the_mean_of_both_sides_or_unknown():
    assert loaded_watts(WINDOWS, SENSORS).mean == approx(53)
    assert loaded_watts(WINDOWS[:1], SENSORS) is None
