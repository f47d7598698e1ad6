"""Every check of the measurement of a point, passed and failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from agent.energy.bounds import Energy
from agent.energy.window import WindowEnergy
from agent.profiling.run_facts import SensorAgreement
from agent.profiling.validation.evidence import Evidence
from agent.profiling.validation.measurement import valid, validate
from synthetic_run import DRAM, GPU, MODEL, PACKAGE, repeats

GAUGE = replace(GPU, metric="power_watts", refresh_seconds=0.0)
READING = WindowEnergy(PACKAGE, Energy(200, 199, 201), "counter", 100.0, 100.0, 200, 0.01)
BY_GAUGE = replace(READING, channel=GAUGE, method="integrated")
ALIKE = SensorAgreement("GPU-a", "board", -0.01, "counter", "it misses nothing")
GOOD = Evidence(
    windows=tuple((each,) for each in repeats((0, 10, 20, 30))),
    energies=(READING,) * 3,
    devices_expected=1,
    sampling_period_seconds=0.01,
    joules_per_inference=(20.0, 20.1, 19.9),
    rates=(5.0, 5.01, 4.99),
    agreement=(ALIKE,),
)


def result(evidence, name):
    return next(each for each in validate(evidence) if each.name == name)


def failed(evidence):
    return {each.name: each.severity for each in validate(evidence) if each.failed}


def test_a_good_point_passes_every_check():
    assert failed(GOOD) == {}
    assert valid(validate(GOOD))


def test_missing_evidence_fails_no_check_of_the_measurement():
    bare = replace(
        GOOD, energies=(), devices_expected=0, sampling_period_seconds=0.0, joules_per_inference=(), agreement=()
    )
    assert failed(bare) == {}


@pytest.mark.parametrize(
    ("name", "severity", "change"),
    [
        ("repeats", "invalid", {"windows": GOOD.windows[:2]}),
        (
            "samples_bracket_window",
            "invalid",
            {"energies": (READING, replace(READING, energy=None, reasons=("no sample",)))},
        ),
        ("gap_between_samples", "invalid", {"energies": (replace(READING, largest_gap_seconds=3.01),)}),
        ("samples_in_window", "invalid", {"energies": (READING, replace(READING, samples=1))}),
        ("sensors_present", "invalid", {"devices_expected": 2}),
        ("counters_uninterrupted", "invalid", {"energies": (replace(READING, reasons=("the counter was reset",)),)}),
        ("energy_spread", "warning", {"joules_per_inference": (20.0, 22.0, 18.0)}),
        ("sensors_not_stuck", "invalid", {"energies": (READING, replace(READING, energy=Energy(0, 0, 1)))}),
        ("windows_long_enough", "warning", {"energies": (replace(READING, energy=Energy(200, 170, 240)),)}),
        ("sensors_agree", "warning", {"agreement": (ALIKE, structs.replace(ALIKE, relative_difference=-0.051))}),
    ],
)
def test_each_check_fails_alone_and_only_some_withhold_the_energy(name, severity, change):
    changed = replace(GOOD, **change)
    assert failed(changed) == {name: severity}
    assert valid(validate(changed)) is (severity == "warning")


def test_a_message_names_the_sensor_and_the_reason():
    missing = replace(READING, channel=DRAM, energy=None, reasons=("no sample before the window's start",))
    message = result(replace(GOOD, energies=(READING, missing)), "samples_bracket_window").message
    assert message == "in 1 windows, package-0/dram: no sample before the window's start"
    lost = replace(
        GOOD, energies=(READING, missing), faults=("GPU-a/board: lost", "package-0/dram: cannot be read (EIO)")
    )
    assert result(lost, "samples_bracket_window").message == "in 1 windows, package-0/dram: cannot be read (EIO)"
    still = replace(READING, channel=DRAM, energy=Energy(0, 0, 1))
    assert "package-0/dram" in result(replace(GOOD, energies=(READING, still)), "sensors_not_stuck").message
    wide = replace(READING, channel=GPU, energy=Energy(200, 100, 300))
    message = result(replace(GOOD, energies=(READING, wide)), "windows_long_enough").message
    assert message.startswith("GPU-a/board leaves ±50.0 % ")
    assert message.endswith("use longer windows")
    moments = replace(BY_GAUGE, energy=Energy(200, 0, 4000))
    message = result(replace(GOOD, energies=(READING, moments)), "windows_long_enough").message
    assert message.endswith("no length of window helps: this gauge does not observe all of the time")
    reset = replace(READING, reasons=("the counter was reset: b", "the counter was reset: a"))
    reasons = "the counter was reset: a; the counter was reset: b"
    assert result(replace(GOOD, energies=(reset,)), "counters_uninterrupted").message == reasons


@pytest.mark.parametrize(
    ("energy", "period", "gap", "passed"),
    [
        (READING, 0.01, 2.9, True),  # a counter loses nothing in a gap
        (BY_GAUGE, 0.1, 0.29, True),
        (BY_GAUGE, 0.1, 0.31, False),  # three periods
        (BY_GAUGE, 0.01, 0.09, True),
        (BY_GAUGE, 0.01, 0.11, False),  # a hundredth of the window of 10 s
        (BY_GAUGE, 2.0, 0.31, False),  # its own periods, not those of the slowest sensor
        (replace(BY_GAUGE, channel=replace(GAUGE, refresh_seconds=9.0)), 2.0, 2.9, True),
        (replace(BY_GAUGE, channel=replace(GAUGE, refresh_seconds=9.0)), 2.0, 3.1, False),  # 3 s, however slow
        (replace(READING, channel=MODEL, method="model"), 0.01, 2.9, True),
    ],
)
def test_a_gauge_can_miss_three_periods_and_a_counter_three_seconds(energy, period, gap, passed):
    evidence = replace(
        GOOD, sampling_period_seconds=period, energies=(READING, replace(energy, largest_gap_seconds=gap))
    )
    found = result(evidence, "gap_between_samples")
    assert (found.status == "passed") is passed
    assert f"{gap:.3g} s" in found.message


def test_iterations_must_fill_their_own_window():
    windows = [each for (each,) in GOOD.windows]
    off = replace(windows[1], latencies_seconds=(9.4,))
    assert failed(replace(GOOD, windows=((windows[0],), (off,), (windows[2],)))) == {
        "window_matches_iterations": "invalid"
    }
    near = replace(windows[1], latencies_seconds=(9.6,))
    assert failed(replace(GOOD, windows=((windows[0],), (near,), (windows[2],)))) == {}
    # An error of 0.6 s is too large for 10 s, although 9 s are within the limit for 1000 s.
    long = replace(windows[2], end_ns=windows[2].start_ns + 1000 * 10**9, latencies_seconds=(991.0,))
    assert failed(replace(GOOD, windows=((windows[0],), (windows[1],), (long,)))) == {}
    assert failed(replace(GOOD, windows=((windows[0],), (off,), (long,)))) == {"window_matches_iterations": "invalid"}


def test_sensors_that_disagree_are_named_with_the_preferred_one_and_the_reason():
    apart = replace(
        GOOD,
        agreement=(structs.replace(ALIKE, relative_difference=0.02), structs.replace(ALIKE, relative_difference=-0.3)),
    )
    message = result(apart, "sensors_agree").message
    assert message.startswith("GPU-a/board: power gauge and counter differ by 30.0 %")
    assert message.endswith("the counter is preferred: it misses nothing")


def test_too_few_repeats_show_neither_trend_nor_spread():
    few = replace(GOOD, windows=GOOD.windows[:1], rates=(5.0,), joules_per_inference=(20.0,))
    assert failed(few) == {"repeats": "invalid"}
    assert result(few, "steady").status == result(few, "energy_spread").status == "unknown"
    assert result(replace(GOOD, joules_per_inference=(0.0, 0.0, 0.0)), "energy_spread").status == "unknown"


def test_the_bound_of_a_model_does_not_depend_on_the_window_length():
    modelled = replace(READING, channel=MODEL, method="model", energy=Energy(200, 100, 300))
    assert failed(replace(GOOD, energies=(modelled,))) == {}
