"""The time and the energy of a model's start, from windows and samples of known power."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.profiling.analysis.idle import IDLE_UNLOADED
from agent.profiling.analysis.startup import FIRST_RUN, LOAD, derive_startup, with_models
from agent.profiling.points import analyze
from agent.runtime.clock import Timebase
from agent.workloads.model_record import Agreement, LoadedModel
from agent.workloads.point import encode_point
from synthetic_run import GPU, PACKAGE, idle, power_steps, read, repeats, sensors

POWER = power_steps((40, 3), (90, 1), (60, 2), (120, 1), (100, 60))
"""W and s: idle, a load of 1 s, nothing, a first run of 1 s, and the work."""
LOADED, RAN = idle(LOAD, 3, 4), idle(FIRST_RUN, 6, 7)
CLOCK = Timebase(1000)
WINDOWS = [idle(IDLE_UNLOADED, 0.5, 2.5), LOADED, RAN, *repeats((8, 10, 12, 14))]
SENSORS = sensors(read(PACKAGE, POWER, 20))


def test_the_start_has_the_seconds_and_the_energy_of_the_load_and_of_the_first_run():
    found = derive_startup(WINDOWS, SENSORS)
    assert (found.load_seconds, found.first_run_seconds) == (1, 1)
    assert found.load_joules.mean == approx(90, rel=0.02)
    assert found.first_run_joules.mean == approx(120, rel=0.02)
    assert found.load_joules.lower < 90 < found.load_joules.upper


def test_without_a_sensor_the_start_has_no_energy_and_without_a_load_there_is_none():
    found = derive_startup(WINDOWS, sensors())
    assert (found.load_joules, found.first_run_joules) == (None, None)
    assert derive_startup([window for window in WINDOWS if window is not LOADED], SENSORS) is None
    assert derive_startup([window for window in WINDOWS if window is not RAN], SENSORS) is None


def test_the_energy_of_a_start_before_the_first_sample_is_unknown():
    early = replace(LOADED, start_ns=LOADED.start_ns - 10**11, end_ns=LOADED.end_ns - 10**11)
    assert derive_startup([early, RAN], SENSORS).load_joules is None


def test_two_sensors_add_up():
    both = sensors(read(PACKAGE, POWER, 20), read(GPU, power_steps((10, 99)), 20))
    assert derive_startup(WINDOWS, both).load_joules.mean == approx(100, rel=0.02)


def test_points_of_different_models_have_the_facts_of_theirs():
    (point,) = analyze(WINDOWS, SENSORS, None)
    agreement = Agreement("fp32", 0.99, 0.5, 8)
    own = LoadedModel("int8", 10, 10, RAN.start_ns - CLOCK.offset_ns, 1.0, agreement)
    other = LoadedModel("fp32", 10, 40, LOADED.start_ns - CLOCK.offset_ns, 1.0)
    key = encode_point(point.parameters)
    windows = [*WINDOWS, replace(LOADED, repeat=1, start_ns=RAN.start_ns, end_ns=RAN.end_ns)]
    (found,) = with_models([point], {key: own, "fp32": other}, windows, SENSORS, CLOCK)
    assert (found.model.precision, found.model.model_bytes, found.model.agreement) == ("int8", 10, agreement)
    assert found.model.load_joules.mean == approx(120, rel=0.02)  # that of the second load
    (unknown,) = with_models([point], {"a": other, "b": own}, windows, SENSORS, CLOCK)
    assert unknown.model is None


@pytest.mark.parametrize(
    "models", [{}, {"a": LoadedModel("fp32", 1, 4, 5, 1.0), "b": LoadedModel("fp32", 1, 4, 5, 1.0)}]
)
def test_points_of_one_model_need_no_facts_of_their_own(models):
    (point,) = analyze(WINDOWS, SENSORS, None)
    assert with_models([point], models, WINDOWS, SENSORS, CLOCK) == (point,)
