"""The power of a point by repeat and by parts of its windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.energy.bounds import Energy
from agent.profiling.analysis.stability import power_by_repeat, power_within
from agent.profiling.points import analyze
from simulated import constant
from synthetic_run import DRAM, PACKAGE, bare, power_steps, read, repeats, sensors, window

POINT = tuple((each,) for each in repeats((6, 8, 10, 12)))
RISING = power_steps((100, 6), *(((80, 0.4), (90, 0.4), (100, 0.4), (110, 0.4), (120, 0.4)) * 3), (100, 9))


def test_power_by_repeat_is_energy_over_time():
    totals = [Energy(20, 19, 21), Energy(40, 39, 41), Energy(10, 9, 11)]
    assert power_by_repeat(POINT, totals) == approx((100, 200, 50))
    assert power_by_repeat(POINT, None) == ()


def test_constant_power_has_a_flat_profile():
    (shape,) = power_within(POINT, bare(read(PACKAGE, constant(100.0), 14)))
    assert shape == approx((1.0,) * 6)


def test_power_that_rises_in_every_window_has_a_rising_profile_and_is_not_steady():
    series = read(PACKAGE, RISING, 14)
    (shape,) = power_within(POINT, bare(series))
    assert list(shape) == sorted(shape)
    assert (shape[0], shape[-1]) == (approx(0.8, abs=0.02), approx(1.2, abs=0.02))
    (point,) = analyze([each for (each,) in POINT], sensors(series), None)
    assert [each.name for each in point.checks if each.failed] == ["steady_within_windows"]
    assert point.valid


def test_the_sensors_of_a_total_are_added_before_the_check():
    falling = power_steps((0, 6), *(((40, 0.4), (30, 0.4), (20, 0.4), (10, 0.4), (0, 0.4)) * 3), (0, 9))
    (shape,) = power_within(POINT, bare(read(PACKAGE, RISING, 14), read(DRAM, falling, 14)))
    assert shape == approx((1.0,) * 6, abs=0.01)


def test_each_phase_has_its_own_power_profile():
    phased = tuple(
        (window(number, start, start + 1, "prefill"), window(number, start + 1, start + 3, "decode"))
        for number, start in enumerate((2, 5, 8), 1)
    )
    assert len(power_within(phased, bare(read(PACKAGE, constant(50.0), 14)))) == 2


@pytest.mark.parametrize(("refresh", "count"), [(0.03, 6), (0.05, 4), (0.06, 3), (0.07, 0), (0.0, 0)])
def test_a_window_has_no_more_parts_than_the_sensor_can_resolve(refresh, count):
    series = read(replace(PACKAGE, refresh_seconds=refresh), constant(100.0), 14)
    power_profiles = power_within(POINT, bare(series))
    assert [len(shape) for shape in power_profiles] == ([count] if count else [])


def test_without_sensors_samples_or_power_there_is_no_power_profile():
    assert power_within(POINT, bare()) == ()
    assert power_within(POINT, bare(read(PACKAGE, constant(100.0), 9))) == ()
    assert power_within(POINT, bare(read(PACKAGE, constant(0.0), 14))) == ()
