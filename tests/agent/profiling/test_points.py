"""Points worked out by hand from windows and samples with round numbers."""

from __future__ import annotations

from dataclasses import replace

from pytest import approx  # noqa: PT013  stands in almost every line

from agent.cost.tariff import Tariff
from agent.energy.provenance import Provenance
from agent.profiling.analysis.idle import derive_baselines
from simulated import constant
from static_points import IDLE, STATIC, only_point, phased
from synthetic_run import (
    CORE,
    DRAM,
    GPU,
    MODEL,
    PACKAGE,
    idle,
    power_steps,
    read,
    repeats,
    sensors,
    window,
)

LOADED = idle("idle_loaded", 3, 5)


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
