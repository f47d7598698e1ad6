"""Points worked out by hand from windows and samples with round numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pytest import approx  # noqa: PT013  stands in almost every line

from agent.cost.tariff import Tariff
from agent.energy.provenance import Provenance
from agent.host.records import HostLoad, HostSettings, RunEnvironment, window_key
from agent.profiling.analysis.cross_check import cross_check
from agent.profiling.analysis.idle import derive_baselines
from agent.profiling.analysis.metrics import SensorWindows, sensor_windows
from agent.profiling.points import analyze
from probes.model import Reason
from simulated import SECOND, constant
from store.records import Series
from synthetic_run import (
    CORE,
    DRAM,
    GPU,
    MODEL,
    PACKAGE,
    energies,
    idle,
    power_steps,
    read,
    repeats,
    sensors,
    window,
)

IDLE = idle("idle_unloaded", 0.5, 2.5)
LOADED = idle("idle_loaded", 3, 5)
POWER = power_steps((40, 3), (50, 2), (100, 60))  # W and s: unloaded, loaded, busy
STATIC = read(PACKAGE, POWER, 14)


def only_point(windows, *series, tariff=None):
    (point,) = analyze(windows, sensors(*series), tariff)
    return point


def test_a_hundred_watts_for_two_seconds_are_twenty_joules_for_each_of_ten_inferences():
    point = only_point([IDLE, LOADED, *repeats((6, 8, 10, 12))], STATIC)
    assert point.valid
    total = point.energy.joules_per_inference.total
    assert total.mean == approx(20)
    assert (total.lower, total.upper) == (approx(20 - 0.1), approx(20 + 0.1))  # one sampling period of 10 ms at an edge
    assert total.source is Provenance.MEASURED
    assert point.energy.joules_per_inference.idle.mean == approx(40 * 0.2)
    assert point.energy.joules_per_inference.dynamic.mean == approx(12)
    assert point.energy.estimated_share == 0
    assert point.inferences_per_second.mean == approx(5)
    assert point.power.mean_watts.mean == approx(100)
    assert point.power.peak_watts == approx(100)
    assert point.latency_seconds.p50 == approx(0.2)
    assert (point.parameters, point.repeats) == ({"batch": 1}, 3)


def test_the_interval_of_the_repeats_is_widened_by_the_bound_of_the_sensor():
    power = power_steps((90, 8), (100, 2), (110, 30))
    total = only_point(repeats((6, 8, 10, 12)), read(PACKAGE, power, 14)).energy.joules_per_inference.total
    half = 4.302652729749 * 2 / 3**0.5  # Student's t of two degrees; 18, 20 and 22 J deviate by 2 J
    assert total.mean == approx(20)
    assert total.upper - total.mean == approx(half + (100 + 110 + 110) / 3 * 0.001)  # what may come at an edge
    assert total.mean - total.lower == approx(half + 0.1, rel=1e-3)


def test_dynamic_energy_is_as_uncertain_as_total_and_idle_together():
    split = only_point([IDLE, *repeats((6, 8, 10, 12))], STATIC).energy.joules_per_inference
    assert split.dynamic.lower == approx(split.total.lower - split.idle.upper)
    assert split.dynamic.upper == approx(split.total.upper - split.idle.lower)
    assert split.idle.upper - split.idle.lower == approx(2 * 0.4 * 0.1)  # 0.4 J a side, over 2 s


def test_without_an_idle_baseline_there_is_a_total_and_no_split():
    split = only_point(repeats((6, 8, 10, 12)), STATIC).energy.joules_per_inference
    assert (split.idle, split.dynamic) == (None, None)


def test_an_idle_baseline_without_samples_gives_no_split():
    early = idle("idle_unloaded", -3, -1)
    assert only_point([early, *repeats((6, 8, 10, 12))], STATIC).energy.joules_per_inference.idle is None


def phased(batch=1):
    """Three repeats: 10 prompts of 100 tokens read in 1 s at 100 W, 5 answers of 19 more tokens in 2 s at 50 W."""
    windows = []
    for repeat, start in enumerate((6, 9, 12), 1):
        windows.append(window(repeat, start, start + 1, "prefill", 10, tokens=(100, 1), batch=batch))
        windows.append(
            window(repeat, start + 1, start + 3, "decode", 5, tokens=(0, 19), steps=[0.02] * 95, batch=batch)
        )
    return windows, read(PACKAGE, power_steps((40, 6), *((100, 1), (50, 2)) * 4), 16)


def test_phases_add_up_to_a_request_and_tokens_have_their_share():
    windows, series = phased()
    point = only_point([IDLE, *windows], series)
    energy = point.energy
    assert energy.joules_per_inference.total.mean == approx(10 + 20)
    assert energy.joules_per_input_token.mean == approx(30 / 100)
    assert energy.joules_per_output_token.mean == approx(30 / 20)
    assert energy.joules_per_total_token.mean == approx(30 / 120)
    prefill, decode = energy.phases
    assert (prefill.phase, decode.phase) == ("prefill", "decode")
    assert prefill.joules_per_inference.mean == approx(10)
    assert prefill.joules_per_input_token.mean == approx(0.1)
    assert prefill.joules_per_output_token is None
    assert decode.joules_per_inference.mean == approx(20)
    assert decode.joules_per_input_token is None
    assert decode.joules_per_output_token.mean == approx(20 / 19)


def test_speed_and_power_are_those_of_whole_requests():
    windows, series = phased()
    point = only_point(windows, series)
    assert point.inferences_per_second.mean == approx(1 / (0.1 + 0.4))
    assert point.input_tokens_per_second.mean == approx(200)
    assert point.output_tokens_per_second.mean == approx(40)
    assert point.mean_latency_seconds.mean == approx(0.5)
    assert point.latency_seconds is None  # no whole request ran
    assert point.time_to_first_token_seconds.p50 == approx(0.1)
    assert point.inter_token_latency_seconds.p50 == approx(0.02)
    # A request draws 30 J in 0.5 s, however long the windows of its phases were.
    assert point.power.mean_watts.mean == approx(60)
    assert point.power.peak_watts == approx(100)
    assert [phase.iterations for phase in point.phases] == [30, 15]
    assert point.phases[0].duration_seconds == approx(3)


def test_phases_can_run_in_any_order():
    windows, series = phased()
    swapped = [*windows[:2], windows[3], windows[2], *windows[4:]]
    assert only_point(swapped, series) == only_point(windows, series)


def test_the_energy_of_a_batch_is_divided_among_its_inferences():
    point = only_point(repeats((6, 8, 10, 12), inferences=20, point='{"batch":4}', batch=4), STATIC)
    assert point.parameters == {"batch": 4}
    assert point.energy.joules_per_inference.total.mean == approx(10)
    assert point.latency_seconds.p50 == approx(0.4)


def test_the_sensors_of_several_devices_add_up_and_a_part_is_shown_but_not_added():
    series = [
        read(channel, constant(watts), 14) for channel, watts in ((PACKAGE, 100), (DRAM, 20), (GPU, 300), (CORE, 60))
    ]
    point = only_point([IDLE, *repeats((6, 8, 10, 12))], *series)
    assert point.energy.joules_per_inference.total.mean == approx(84)
    assert point.power.mean_watts.mean == approx(420)
    assert point.power.peak_watts == approx(420)
    devices = {(each.device, each.domain): each for each in point.energy.sensors}
    assert {key: (each.in_total, each.method) for key, each in devices.items()} == {
        ("package-0", "package"): (True, "counter"),
        ("package-0", "dram"): (True, "counter"),
        ("GPU-a", "board"): (True, "counter"),
        ("package-0", "core"): (False, "counter"),
    }
    assert devices["package-0", "core"].joules_per_inference.total.mean == approx(12)
    assert devices["GPU-a", "board"].joules_per_inference.idle.mean == approx(60)


def test_a_part_without_samples_around_the_windows_is_left_out_of_the_devices():
    part = read(CORE, constant(60.0), 7)
    point = only_point(repeats((6, 8, 10, 12)), STATIC, part)
    assert point.valid
    assert [each.domain for each in point.energy.sensors] == ["package"]


def test_estimated_and_measured_make_a_mixed_total_with_its_share():
    point = only_point(repeats((6, 8, 10, 12)), read(MODEL, constant(25.0), 14), read(GPU, constant(75.0), 14))
    energy = point.energy
    assert energy.joules_per_inference.total.source is Provenance.MIXED
    assert energy.estimated_share == approx(0.25)
    assert energy.joules_per_inference.total.mean == approx(20)
    assert energy.joules_per_inference.total.upper == approx(5 * 1.5 + 15, rel=0.01)
    assert {each.method for each in energy.sensors} == {"model", "counter"}
    assert point.power.source is Provenance.MIXED


def test_a_total_of_estimates_is_estimated():
    energy = only_point(repeats((6, 8, 10, 12)), read(MODEL, constant(25.0), 14)).energy
    assert energy.joules_per_inference.total.source is Provenance.ESTIMATED
    assert energy.estimated_share == 1
    assert (energy.joules_per_inference.total.lower, energy.joules_per_inference.total.upper) == (
        approx(2.5, rel=0.01),
        approx(7.5, rel=0.01),
    )


def test_zero_energy_of_a_model_is_estimated():
    point = only_point(repeats((6, 8, 10, 12)), read(MODEL, constant(0.0), 14))
    assert point.energy.estimated_share == 1


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


def test_energy_is_priced_with_the_loaded_idle_power():
    tariff = Tariff(price_per_kwh=0.36, pue=1.0, utilization=0.5)
    point = only_point([IDLE, LOADED, *repeats((6, 8, 10, 12))], STATIC, tariff=tariff)
    assert point.cost.usage.per_inference.energy.mean == approx(20 * 0.36 / 3.6e6)
    # At half use as much time again is idle at 50 W: 0.2 s an inference.
    assert point.cost.allocation.per_inference.energy.mean == approx((20 + 50 * 0.2) * 0.36 / 3.6e6)


def test_without_a_loaded_baseline_there_is_no_allocated_energy():
    tariff = Tariff(price_per_kwh=0.36, utilization=0.5)
    point = only_point([IDLE, *repeats((6, 8, 10, 12))], STATIC, tariff=tariff)
    assert point.cost.usage.per_inference.energy is not None
    assert point.cost.allocation.per_inference.energy is None


def test_points_are_in_the_order_of_their_runs():
    first, second = repeats((6, 7, 8, 9), point="batch=8"), repeats((9, 10, 11, 12), point="batch=1")
    assert [point.name for point in analyze([*first, *second], sensors(STATIC), None)] == ["batch=8", "batch=1"]


def test_a_repeat_that_was_cut_short_does_not_count():
    windows, series = phased()
    point = only_point(windows[:-1], series)
    assert point.repeats == 2
    assert not point.valid


def test_a_point_cut_short_before_its_second_phase_is_no_point():
    windows, series = phased()
    prefill = window(1, 15, 16, "prefill", 10, point="batch=8", tokens=(100, 1))
    assert [point.name for point in analyze([*windows, prefill], sensors(series), None)] == ["batch=1"]


def test_a_window_without_inferences_is_no_repeat():
    empty = window(4, 12, 14, inferences=0)
    assert only_point([*repeats((6, 8, 10, 12)), empty], STATIC).repeats == 3


def test_baselines_are_by_sensor_and_in_total():
    series = (STATIC, read(DRAM, constant(10.0), 14), read(CORE, constant(20.0), 14))
    unloaded, loaded = derive_baselines([IDLE, LOADED, *repeats((6, 8, 10, 12))], sensors(*series))
    assert (unloaded.state, loaded.state) == ("unloaded", "loaded")
    assert unloaded.duration_seconds == approx(2)
    watts = {(each.device, each.domain): each.watts.mean for each in unloaded.sensors}
    assert watts == {
        ("package-0", "package"): approx(40),
        ("package-0", "dram"): approx(10),
        ("package-0", "core"): approx(20),
    }
    assert (unloaded.watts.mean, loaded.watts.mean) == (approx(50), approx(60))


def test_a_baseline_whose_sensor_was_not_read_has_no_total():
    (baseline,) = derive_baselines([IDLE], sensors(STATIC, read(DRAM, constant(10.0), 2)))
    assert [(each.device, each.domain) for each in baseline.sensors] == [("package-0", "package")]


def test_a_baseline_without_sensors_has_only_a_duration():
    (baseline,) = derive_baselines([LOADED], sensors())
    assert (baseline.state, baseline.watts, baseline.sensors) == ("loaded", None, ())


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
    (told,) = cross_check([counted], [full])
    assert (told.device, told.domain, told.preferred) == ("package-0", "package", "counter")
    assert told.relative_difference == approx(0.5)
    assert cross_check([counted], [full, short, other]) == (told,)
    assert cross_check([counted], [short]) == ()
    assert cross_check([counted], []) == ()
    still = SensorWindows(PACKAGE, sensor_windows(windows, energies(read(PACKAGE, constant(0.0), 14)))[0].windows)
    assert cross_check([still], [full]) == ()


def test_the_conditions_of_a_point_are_part_of_it_and_checked():
    windows = repeats((6, 8, 10, 12))
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


def test_the_mean_latency_of_a_request_is_the_sum_of_the_phases_means_and_has_no_percentile():
    """Three slow prefills and many decodes: no pairing of theirs is a request that ran."""
    windows = []
    for repeat, start in enumerate((6, 9, 12), 1):
        prefill = window(repeat, start, start + 1, "prefill", 3, tokens=(100, 1))
        decode = window(repeat, start + 1, start + 3, "decode", 8, tokens=(0, 19))
        windows += [replace(prefill, latencies_seconds=(0.2, 0.3, 0.5)), decode]
    point = only_point(windows, read(PACKAGE, constant(100.0), 16))
    assert point.latency_seconds is None
    assert point.mean_latency_seconds.mean == approx(1 / 3 + 2 / 8)
    assert [phase.latency_seconds.count for phase in point.phases] == [9, 24]
    assert point.phases[0].latency_seconds.p99 is None


def test_a_request_of_one_phase_has_its_percentiles():
    point = only_point(repeats((6, 8, 10, 12), inferences=100), STATIC)
    assert (point.latency_seconds.count, point.latency_seconds.p99) == (300, approx(0.02))
    assert point.mean_latency_seconds.mean == approx(0.02)


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
    (told,) = only_point(repeats((6, 8, 10, 12)), STATIC, gauge(106)).sensor_agreement
    assert (told.device, told.domain, told.relative_difference) == ("package-0", "package", approx(0.06))
