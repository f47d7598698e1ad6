"""Every check of the environment of a point, passed and failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from agent.profiling.run_facts import Conditions, Convergence, DeviceConditions, GpuSharing, IdleDrift
from agent.profiling.validation.environment import check_environment
from agent.profiling.validation.evidence import Evidence
from agent.profiling.validation.measurement import valid
from synthetic_run import repeats

BOARD = DeviceConditions("GPU-a", "board", 40.0, 60.0, 1e9, 1.01e9, 300.0, 300.0, (), 0.0, None, 0.04)
SHARED = GpuSharing("GPU-a", 0.7, 0.005, 0.01, 3)
CALM = Conditions(
    self_cpus=1.5,
    other_cpus=0.05,
    max_other_cpus=0.09,
    steal_share=0.001,
    thermal_throttle_events=0,
    devices=(BOARD,),
    gpus=(SHARED,),
    baseline_other_cpus=0.09,
)
GOOD = Evidence(
    windows=tuple((each,) for each in repeats((0, 61, 122, 183))),
    energies=(),
    devices_expected=0,
    sampling_period_seconds=0.01,
    joules_per_inference=(),
    rates=(5.0, 5.01, 4.99),
    precision=Convergence("joules_per_inference", 0.01, 0.02, converged=True, repeats_needed=3),
    conditions=CALM,
    processors=4,
    idle_drift=(IdleDrift("unloaded", 1.0, 0.02, 0.1), IdleDrift("loaded", -1.0, -0.02, 0.1)),
    watts=(100.0, 101.0, 99.0),
    power_profiles=((1.0, 1.01, 0.99),),
    mode="rigorous",
)


def calm(**change):
    return {"conditions": structs.replace(CALM, **change)}


def board(**change):
    return calm(devices=(BOARD, structs.replace(BOARD, **change)))


def parts(domain, **change):
    """A board, and another part with other conditions."""
    return calm(devices=(BOARD, structs.replace(BOARD, domain=domain, **change)))


def gpu(**change):
    return calm(gpus=(SHARED, structs.replace(SHARED, device="GPU-b", **change)))


def failed(evidence):
    return {each.name: each.severity for each in check_environment(evidence) if each.failed}


def message(evidence, name):
    return next(each.message for each in check_environment(evidence) if each.name == name)


def test_a_point_without_disturbances_passes_every_check():
    assert failed(GOOD) == {}


def test_missing_evidence_fails_no_check():
    assert failed(Evidence(GOOD.windows, (), 0, 0.1, (), ())) == {}


@pytest.mark.parametrize(
    ("name", "severity", "change"),
    [
        ("steady", "warning", {"rates": (5.0, 5.3, 5.6, 5.9)}),
        ("steady_power", "warning", {"watts": (100.0, 106.0, 112.0, 118.0)}),
        ("steady_within_windows", "warning", {"power_profiles": ((1.0, 1.0, 1.0), (0.9, 0.95, 1.0, 1.05, 1.1))}),
        ("idle_drift", "warning", {"idle_drift": (GOOD.idle_drift[0], IdleDrift("loaded", -9.0, -0.11, 0.1))}),
        ("not_throttled", "invalid", board(throttle_reasons=("hardware_thermal",), throttled_share=0.2)),
        ("below_power_limit", "warning", board(throttled_seconds=0.3)),
        (
            "below_power_limit",
            "warning",
            board(throttle_reasons=("power_cap",), throttled_share=0.9, throttled_seconds=3.0),
        ),
        ("below_power_limit", "warning", parts("thermal", throttled_seconds=0.3)),
        ("cpu_not_throttled", "warning", calm(thermal_throttle_events=3)),
        ("cpu_not_throttled", "warning", parts("core", device="package-1", throttled_seconds=0.2)),
        ("background_load", "warning", calm(max_other_cpus=0.11)),
        ("workload_dominates", "warning", calm(self_cpus=1.0, other_cpus=1.01)),
        ("background_load", "warning", gpu(max_other_share=0.02)),
        ("background_load", "warning", gpu(self_share=None, other_share=None, max_other_share=None)),
        ("workload_dominates", "warning", gpu(other_share=0.71)),
        ("workload_dominates", "warning", gpu(self_share=0.0, other_share=0.26)),
        ("cpus_idle_at_baseline", "warning", calm(baseline_other_cpus=0.11)),
        ("accelerators_idle_at_baseline", "warning", board(baseline_utilization=0.06)),
        ("steal_time", "warning", calm(steal_share=0.011)),
        ("cpu_quota_not_reached", "warning", calm(quota_stopped_share=0.011)),
        ("settings_unchanged", "warning", {"changed_settings": ("governor from a to b",)}),
        ("clocks_steady", "warning", board(end_frequency_hertz=0.94e9)),
        ("devices_present", "warning", {"silent_devices": ("GPU-b",)}),
        ("rigorous_windows", "invalid", {"windows": tuple((each,) for each in repeats((0, 61, 120.9, 183)))}),
        (
            "tolerance_met",
            "warning",
            {"precision": structs.replace(GOOD.precision, relative_half_width=0.03, converged=False)},
        ),
    ],
)
def test_each_check_fails_alone_and_only_some_withhold_the_energy(name, severity, change):
    changed = replace(GOOD, **change)
    assert failed(changed) == {name: severity}
    assert valid(check_environment(changed)) is (severity == "warning")


def test_other_load_is_limited_to_a_hundredth_of_a_large_host_and_dominates_from_a_quarter():
    large = replace(GOOD, processors=64)
    assert failed(replace(large, **calm(max_other_cpus=0.63))) == {}
    assert failed(replace(large, **calm(max_other_cpus=0.65))) == {"background_load": "warning"}
    busy = {"max_other_cpus": 17.0, "self_cpus": 1.0}
    assert failed(replace(large, **calm(**busy, other_cpus=15.9))) == {"background_load": "warning"}
    assert failed(replace(large, **calm(**busy, other_cpus=16.1)))["workload_dominates"]
    assert "workload_dominates" not in failed(replace(large, **calm(**busy | {"self_cpus": 20.0})))


def test_others_dominate_a_gpu_above_the_load_of_the_run_and_a_quarter():
    assert failed(replace(GOOD, **gpu(max_other_share=0.9, other_share=0.7))) == {"background_load": "warning"}
    assert failed(replace(GOOD, **gpu(self_share=0.0, other_share=0.25))) == {}


def test_a_gpu_of_unknown_load_or_without_other_processes_fails_no_check():
    unknown = {"self_share": None, "other_share": None, "max_other_share": None}
    for programs in (None, 0):
        assert failed(replace(GOOD, **gpu(**unknown, other_processes=programs))) == {}


def test_the_check_of_a_dominated_host_states_the_range_of_its_energy():
    busy = replace(GOOD, **calm(self_cpus=1.0, other_cpus=1.5))
    assert message(busy, "workload_dominates") == "the run kept 1.00 CPUs busy, other programs 1.50"
    known = replace(busy, joules_per_inference=(1.0, 1.0, 1.0))
    assert message(known, "workload_dominates").endswith("the energy lies between the run's own share and the total")


def test_others_on_a_gpu_are_sharedif_the_cpu_load_is_unknown():
    unknown = calm(
        self_cpus=None,
        other_cpus=None,
        max_other_cpus=None,
        gpus=(structs.replace(SHARED, other_share=0.8, max_other_share=0.9),),
    )
    shared = replace(GOOD, **unknown)
    assert failed(shared) == {"background_load": "warning", "workload_dominates": "warning"}
    assert message(shared, "background_load") == (
        "the load of other programs is unknown; other programs kept GPU-a busy for 90 % of the worst window (limit 1 %)"
    )
    assert message(shared, "workload_dominates").endswith(
        "unknown; the run kept GPU-a busy for 70 % of the time, other programs for 80 %"
    )


def test_a_shorter_mode_is_labelled_and_needs_no_rigorous_windows():
    quick = replace(GOOD, windows=tuple((each,) for each in repeats((0, 2, 4, 6))), mode="quick")
    assert failed(quick) == {}
    assert "in quick mode" in message(quick, "rigorous_windows")
    assert "in an unnamed mode" in message(replace(quick, mode=""), "rigorous_windows")


def test_messages_name_the_device_the_amount_and_the_remedy():
    hot = replace(GOOD, **board(throttle_reasons=("hardware_thermal",), throttled_share=0.25))
    assert "GPU-a: hardware_thermal in 25 % of the samples" in message(hot, "not_throttled")
    assert "GPU-a/board: for 0.3 s" in message(replace(GOOD, **board(throttled_seconds=0.3)), "below_power_limit")
    assert "GPU-a/board ran at -6.0 %" in message(replace(GOOD, **board(end_frequency_hertz=0.94e9)), "clocks_steady")
    slow_first = calm(devices=(structs.replace(BOARD, end_frequency_hertz=0.94e9), BOARD))
    assert "ran at -6.0 %" in message(replace(GOOD, **slow_first), "clocks_steady")
    moving = replace(GOOD, power_profiles=((1.1, 1.05, 1.0, 0.95, 0.9),))
    assert "power changes by -20.0 %" in message(moving, "steady_within_windows")
    wide = structs.replace(GOOD.precision, relative_half_width=0.03, converged=False, repeats_needed=7)
    assert message(replace(GOOD, precision=wide), "tolerance_met").endswith(
        "±3.0 %, ±2 % was requested; that takes about 7 repeats"
    )
    equal = replace(GOOD, precision=structs.replace(wide, equivalent_to="batch=8"))
    assert message(equal, "tolerance_met").endswith("measured no further because it is equivalent to batch=8")
    assert failed(equal) == {}
    unknown = structs.replace(wide, relative_half_width=None, repeats_needed=None)
    assert "is unknown" in message(replace(GOOD, precision=unknown), "tolerance_met")
    assert "an unknown number of repeats" in message(replace(GOOD, precision=unknown), "tolerance_met")


def test_two_repeats_show_no_trend_of_rate_or_power():
    few = replace(GOOD, rates=(5.0, 9.0), watts=(1.0, 9.0))
    assert failed(few) == {}
    assert "too few repeats" in message(few, "steady")
    assert "too few repeats" in message(few, "steady_power")


def test_a_throttled_device_has_the_seconds_that_its_counters_show():
    capped = structs.replace(BOARD, throttle_reasons=("power_cap",), throttled_share=0.9)
    seconds = {"power-cap": 3.25, "thermal": 0.5}
    counted = [structs.replace(BOARD, domain=cause, throttled_seconds=value) for cause, value in seconds.items()]
    evidence = replace(GOOD, **calm(devices=(capped, *counted)))
    said = message(evidence, "below_power_limit")
    assert said == (
        "ran at its power limit: GPU-a: power_cap in 90 % of the samples, for 3.25 s, and throttled: "
        "GPU-a/thermal: for 0.5 s"
    )
    hot = structs.replace(capped, throttle_reasons=("software_thermal",))
    said = message(replace(GOOD, **calm(devices=(hot, *counted))), "not_throttled")
    assert said.endswith("GPU-a: software_thermal in 90 % of the samples, for 0.5 s")


def test_a_throttled_cpu_has_the_number_of_its_slowdowns_and_the_seconds_of_each_part():
    core = structs.replace(BOARD, device="package-0", domain="core", throttled_seconds=0.125)
    package = structs.replace(core, domain="package", throttled_seconds=2.0)
    evidence = replace(GOOD, **calm(thermal_throttle_events=4, devices=(BOARD, core, package)))
    assert message(evidence, "cpu_not_throttled") == (
        "a CPU was throttled by temperature 4 times: package-0/core for 0.125 s, package-0/package for 2 s"
    )
    calm_core = structs.replace(core, throttled_seconds=0.0)
    evidence = replace(GOOD, **calm(thermal_throttle_events=None, devices=(BOARD, calm_core)))
    assert message(evidence, "cpu_not_throttled") == "no CPU was throttled by temperature"


def test_of_the_units_of_a_busy_accelerator_the_busiest_one_is_named():
    units = [
        structs.replace(BOARD, domain=unit, baseline_utilization=share)
        for unit, share in (("sm", 0.6), ("memory", 0.3))
    ]
    evidence = replace(GOOD, **calm(devices=(BOARD, *units)))
    assert message(evidence, "accelerators_idle_at_baseline").endswith("idle baselines: GPU-a 60 %")
