"""The points that are invalid, incomplete or disturbed by other load."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.cost.tariff import Tariff
from agent.host.records import HostLoad, HostSettings, RunEnvironment, window_key
from agent.profiling.analysis.cross_check import cross_check
from agent.profiling.analysis.metrics import SensorWindows, sensor_windows
from agent.profiling.points import analyze
from probes.model import Reason
from simulated import SECOND, constant
from static_points import IDLE, STATIC, only_point, phased
from store.records import Series
from synthetic_run import (
    DRAM,
    GPU,
    PACKAGE,
    energies,
    read,
    repeats,
    sensors,
    window,
)


def test_a_point_that_fails_a_check_has_time_but_no_energy_or_cost():
    tariff = Tariff(price_per_kwh=0.25)
    point = only_point(repeats((6, 8, 10)), STATIC, tariff=tariff)  # two repeats
    assert not point.valid
    assert (point.energy, point.power, point.cost) == (None, None, None)
    assert point.inferences_per_second.mean == approx(5)
    assert [check.name for check in point.checks if check.failed] == ["repeats"]


def test_a_point_has_no_energy_if_a_sensor_of_the_total_stops():
    dies = read(DRAM, constant(20.0), 9)
    point = only_point(repeats((6, 8, 10, 12)), STATIC, dies)
    assert not point.valid
    assert point.energy is None
    assert "package-0/dram: no sample after the window's end" in next(
        each.message for each in point.checks if each.failed
    )


def test_a_reset_makes_a_point_invalid():
    reset = replace(STATIC, rejections=((7 * SECOND, Reason.RESET),))
    point = only_point(repeats((6, 8, 10, 12)), reset)
    assert not point.valid
    assert point.energy is None


def test_without_sensors_there_is_time_and_the_point_is_valid():
    point = only_point(repeats((6, 8, 10, 12)), tariff=Tariff(price_per_kwh=0.25))
    assert point.valid
    assert (point.energy, point.power, point.cost) == (None, None, None)


def test_points_are_in_the_order_of_their_runs():
    first, second = repeats((6, 7, 8, 9), point="batch=8"), repeats((9, 10, 11, 12), point="batch=1")
    assert [point.name for point in analyze([*first, *second], sensors(STATIC), None)] == ["batch=8", "batch=1"]


def test_a_repeat_that_was_cut_short_does_not_count():
    windows, series = phased()
    point = only_point(windows[:-1], series)
    assert point.repeats == 2
    assert not point.valid


def test_a_point_cut_short_before_its_second_phase_is_not_a_point():
    windows, series = phased()
    prefill = window(1, 15, 16, "prefill", 10, point="batch=8", tokens=(100, 1))
    assert [point.name for point in analyze([*windows, prefill], sensors(series), None)] == ["batch=1"]


def test_a_window_without_inferences_is_not_a_repeat():
    empty = window(4, 12, 14, inferences=0)
    assert only_point([*repeats((6, 8, 10, 12)), empty], STATIC).repeats == 3


def gauge(watts, until=14.0, channel=PACKAGE):
    times = tuple(round(0.05 * number * SECOND) for number in range(round(until / 0.05) + 1))
    return Series(replace(channel, metric="power_watts", refresh_seconds=0.05), times, (float(watts),) * len(times))


@pytest.mark.parametrize(("watts", "passed"), [(104, True), (94, False), (106, False)])
def test_a_power_gauge_is_compared_with_the_counter_of_its_domain(watts, passed):
    point = only_point(repeats((6, 8, 10, 12)), STATIC, gauge(watts))
    check = next(each for each in point.checks if each.name == "sensors_agree")
    assert (check.status == "passed") is passed
    assert check.severity == "warning"
    assert point.energy.joules_per_inference.total.mean == approx(20)


def test_only_windows_of_both_sensors_are_compared():
    windows = [(each,) for each in repeats((6, 8, 10, 12))]
    counted, short, other = sensor_windows(windows, energies(STATIC, gauge(150, 7), gauge(150, channel=GPU)))
    (full,) = sensor_windows(windows, energies(gauge(150)))
    (reported,) = cross_check([counted], [full])
    assert (reported.device, reported.domain, reported.preferred) == ("package-0", "package", "counter")
    assert reported.relative_difference == approx(0.5)
    assert cross_check([counted], [full, short, other]) == (reported,)
    assert cross_check([counted], [short]) == ()
    assert cross_check([counted], []) == ()
    still = SensorWindows(PACKAGE, sensor_windows(windows, energies(read(PACKAGE, constant(0.0), 14)))[0].windows)
    assert cross_check([still], [full]) == ()


def test_the_conditions_of_a_point_are_part_of_it_and_checked():
    windows = repeats([6 + 0.75 * number for number in range(9)])
    busy = HostLoad(seconds=2.0, processors=4, own=1.0, others=5.0, stolen=0.0, open_seconds=0.04, throttles=None)
    hot = Series(replace(GPU, metric="throttle_reasons"), (7 * SECOND,), (float(0x40),))
    known = RunEnvironment(
        loads={window_key(window): busy for window in windows},
        series=(hot,),
        start=HostSettings(("performance",), (), {}, None),
        end=HostSettings(("powersave",), (), {}, None),
        silent=("GPU-b",),
        mode="rigorous",
        tolerance=0.01,
    )
    (point,) = analyze(windows, sensors(STATIC), None, known)
    failed = {each.name for each in point.checks if each.failed}
    assert failed == {
        "not_throttled",
        "background_load",
        "workload_dominates",
        "settings_unchanged",
        "devices_present",
        "rigorous_windows",
    }
    assert (point.valid, point.energy) == (False, None)
    assert point.conditions.other_cpus == approx(2.5)
    assert (point.convergence.tolerance, point.convergence.converged) == (0.01, True)
    assert point.sensor_agreement == ()


def loaded(others, *windows, idle_others=0.0):
    """The load of 4 CPUs around windows of 2 s: the workload's 4 s of CPU time and that of others."""
    load = HostLoad(seconds=2.0, processors=4, own=4.0, others=others, stolen=0.0, open_seconds=0.0, throttles=None)
    calm = replace(load, own=0.0, others=idle_others)
    return RunEnvironment(loads={window_key(each): load if each.point else calm for each in windows})


def test_other_load_lowers_the_lower_bound_by_its_share_of_the_dynamic_energy_and_withholds_nothing():
    windows = [IDLE, *repeats((6, 8, 10, 12))]
    (alone,) = analyze(windows, sensors(STATIC), None, loaded(0.0, *windows))
    (shared,) = analyze(windows, sensors(STATIC), None, loaded(4.0, *windows))
    assert (alone.energy.background_share, shared.valid) == (0, True)
    before, after = alone.energy.joules_per_inference, shared.energy.joules_per_inference
    assert (after.total.mean, after.total.upper) == (before.total.mean, before.total.upper)
    # Half of the busy time is theirs, and so is half of the 12 J above the idle power of 40 W less its bound.
    idle_watts = before.idle.lower / 0.2
    assert before.total.lower - after.total.lower == approx((20 - 0.2 * idle_watts) / 2)
    assert shared.energy.background_share == approx((20 - 0.2 * idle_watts) / 2 / 20)
    assert shared.power.mean_watts.lower == approx(after.total.lower / 0.2)
    assert shared.energy.sensors[0].joules_per_inference.total.lower == approx(after.total.lower)


@pytest.mark.parametrize("idle_others", [0.3, 8.0])
def test_other_load_during_the_baseline_leaves_the_idle_power_unknown(idle_others):
    windows = [IDLE, *repeats((6, 8, 10, 12))]
    (point,) = analyze(windows, sensors(STATIC), None, loaded(4.0, *windows, idle_others=idle_others))
    assert point.energy.background_share == approx(0.5)
    assert point.energy.joules_per_inference.total.lower == approx(10 - 0.1)


def test_without_a_known_load_the_share_of_others_is_unknown():
    assert only_point(repeats((6, 8, 10, 12)), STATIC).energy.background_share is None


def test_a_disagreement_of_sensors_is_part_of_the_point():
    (reported,) = only_point(repeats((6, 8, 10, 12)), STATIC, gauge(106)).sensor_agreement
    assert (reported.device, reported.domain, reported.relative_difference) == ("package-0", "package", approx(0.06))
