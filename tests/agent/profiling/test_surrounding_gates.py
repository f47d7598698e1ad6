"""Every expectation of what surrounded a point, met and not met."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.profiling.conditions import Conditions, DeviceConditions, GpuSharing
from agent.profiling.facts import IdleDrift
from agent.profiling.gates import Evidence, valid
from agent.profiling.precision import Precision
from agent.profiling.surrounding_gates import judge_surroundings
from made_up_run import repeats

BOARD = DeviceConditions("GPU-a", "board", 40.0, 60.0, 1e9, 1.01e9, 300.0, 300.0, (), 0.0, None, 0.04)
SHARED = GpuSharing("GPU-a", 0.7, 0.005, 0.01, 3)
CALM = Conditions(
    own_processors=1.5,
    other_processors=0.05,
    most_other_processors=0.09,
    stolen_share=0.001,
    heat_events=0,
    devices=(BOARD,),
    gpus=(SHARED,),
)
GOOD = Evidence(
    windows=tuple((each,) for each in repeats((0, 61, 122, 183))),
    energies=(),
    devices_expected=0,
    beat_seconds=0.01,
    joules_per_inference=(),
    rates=(5.0, 5.01, 4.99),
    precision=Precision("energy_per_inference", 0.01, 0.02, met=True, repeats_needed=3),
    conditions=CALM,
    processors=4,
    idle_drift=(IdleDrift("unloaded", 1.0, 0.02, 0.1), IdleDrift("loaded", -1.0, -0.02, 0.1)),
    watts=(100.0, 101.0, 99.0),
    shapes=((1.0, 1.01, 0.99),),
    effort="rigorous",
)


def calm(**change):
    return {"conditions": replace(CALM, **change)}


def board(**change):
    return calm(devices=(BOARD, replace(BOARD, **change)))


def gpu(**change):
    return calm(gpus=(SHARED, replace(SHARED, device="GPU-b", **change)))


def failed(evidence):
    return {each.expectation: each.fatal for each in judge_surroundings(evidence) if not each.passed}


def message(evidence, name):
    return next(each.message for each in judge_surroundings(evidence) if each.expectation == name)


def test_a_calm_point_meets_every_expectation():
    assert failed(GOOD) == {}


def test_nothing_known_is_nothing_against_a_point():
    assert failed(Evidence(GOOD.windows, (), 0, 0.1, (), ())) == {}


@pytest.mark.parametrize(
    ("name", "fatal", "change"),
    [
        ("steady", False, {"rates": (5.0, 5.3, 5.6, 5.9)}),
        ("steady_power", False, {"watts": (100.0, 106.0, 112.0, 118.0)}),
        ("steady_within_windows", False, {"shapes": ((1.0, 1.0, 1.0), (0.9, 0.95, 1.0, 1.05, 1.1))}),
        ("idle_drift", False, {"idle_drift": (GOOD.idle_drift[0], IdleDrift("loaded", -9.0, -0.11, 0.1))}),
        ("not_throttled", True, board(throttled_by=("hardware_thermal",), throttled_share=0.2)),
        ("below_power_limit", False, board(throttled_seconds=0.3)),
        ("below_power_limit", False, board(throttled_by=("power_cap",), throttled_share=0.9, throttled_seconds=3.0)),
        ("processors_cool", False, calm(heat_events=3)),
        ("no_other_load", False, calm(most_other_processors=0.11)),
        ("own_load_prevails", True, calm(own_processors=1.0, other_processors=1.01)),
        ("no_other_load", False, gpu(most_other_share=0.02)),
        ("no_other_load", False, gpu(own_share=None, other_share=None, most_other_share=None)),
        ("own_load_prevails", True, gpu(other_share=0.71)),
        ("own_load_prevails", True, gpu(own_share=0.0, other_share=0.26)),
        ("accelerators_free", False, board(idle_utilization=0.06)),
        ("not_stolen", False, calm(stolen_share=0.011)),
        ("settings_unchanged", False, {"changed_settings": ("governor from a to b",)}),
        ("clocks_steady", False, board(end_clock_hertz=0.94e9)),
        ("devices_present", False, {"silent_devices": ("GPU-b",)}),
        ("rigorous_windows", True, {"windows": tuple((each,) for each in repeats((0, 61, 120.9, 183)))}),
        ("tolerance_met", False, {"precision": replace(GOOD.precision, half_width=0.03, met=False)}),
    ],
)
def test_each_expectation_fails_alone_and_only_some_take_the_figures_away(name, fatal, change):
    changed = replace(GOOD, **change)
    assert failed(changed) == {name: fatal}
    assert valid(judge_surroundings(changed)) is not fatal


def test_others_may_use_a_hundredth_of_a_large_host_and_a_quarter_before_they_own_the_joules():
    large = replace(GOOD, processors=64)
    assert failed(replace(large, **calm(most_other_processors=0.63))) == {}
    assert failed(replace(large, **calm(most_other_processors=0.65))) == {"no_other_load": False}
    busy = {"most_other_processors": 17.0, "own_processors": 1.0}
    assert failed(replace(large, **calm(**busy, other_processors=15.9))) == {"no_other_load": False}
    assert failed(replace(large, **calm(**busy, other_processors=16.1)))["own_load_prevails"]
    assert "own_load_prevails" not in failed(replace(large, **calm(**busy | {"own_processors": 20.0})))


def test_others_may_do_as_much_on_a_gpu_as_the_run_or_a_quarter_before_they_own_the_joules():
    assert failed(replace(GOOD, **gpu(most_other_share=0.9, other_share=0.7))) == {"no_other_load": False}
    assert failed(replace(GOOD, **gpu(own_share=0.0, other_share=0.25))) == {}


def test_a_gpu_of_which_nothing_is_known_or_that_nobody_else_has_open_is_nothing_against_a_point():
    unknown = {"own_share": None, "other_share": None, "most_other_share": None}
    for programs in (None, 0):
        assert failed(replace(GOOD, **gpu(**unknown, other_programs=programs))) == {}


def test_others_on_a_gpu_are_judged_where_the_load_of_the_processors_is_not_known():
    unknown = calm(
        own_processors=None,
        other_processors=None,
        most_other_processors=None,
        gpus=(replace(SHARED, other_share=0.8, most_other_share=0.9),),
    )
    judged = replace(GOOD, **unknown)
    assert failed(judged) == {"no_other_load": False, "own_load_prevails": True}
    assert message(judged, "no_other_load") == (
        "the load of other programs is not known; GPU-a was busy for them 90% of the worst window, 1% is let pass"
    )
    assert message(judged, "own_load_prevails").endswith(
        "not known; GPU-a was busy for the run 70% of the time, for other programs 80%"
    )


def test_a_shorter_mode_is_labelled_and_not_held_to_the_length_of_a_rigorous_one():
    quick = replace(GOOD, windows=tuple((each,) for each in repeats((0, 2, 4, 6))), effort="quick")
    assert failed(quick) == {}
    assert "in quick mode" in message(quick, "rigorous_windows")
    assert "in an unnamed mode" in message(replace(quick, effort=""), "rigorous_windows")


def test_messages_say_which_device_by_how_much_and_what_it_takes():
    hot = replace(GOOD, **board(throttled_by=("hardware_thermal",), throttled_share=0.25))
    assert "GPU-a: hardware_thermal in 25% of the samples" in message(hot, "not_throttled")
    assert "GPU-a: for 0.3 s" in message(replace(GOOD, **board(throttled_seconds=0.3)), "below_power_limit")
    assert "GPU-a/board ran -6.0%" in message(replace(GOOD, **board(end_clock_hertz=0.94e9)), "clocks_steady")
    slow_first = calm(devices=(replace(BOARD, end_clock_hertz=0.94e9), BOARD))
    assert "ran -6.0%" in message(replace(GOOD, **slow_first), "clocks_steady")
    moving = replace(GOOD, shapes=((1.1, 1.05, 1.0, 0.95, 0.9),))
    assert "power moves by -20.0%" in message(moving, "steady_within_windows")
    wide = replace(GOOD.precision, half_width=0.03, met=False, repeats_needed=7)
    assert message(replace(GOOD, precision=wide), "tolerance_met").endswith(
        "±3.0%, ±2% was asked for; that takes about 7 repeats"
    )
    unknown = replace(wide, half_width=None, repeats_needed=None)
    assert "is not known" in message(replace(GOOD, precision=unknown), "tolerance_met")
    assert "more than can be told" in message(replace(GOOD, precision=unknown), "tolerance_met")


def test_two_repeats_show_no_trend_of_rate_or_power():
    few = replace(GOOD, rates=(5.0, 9.0), watts=(1.0, 9.0))
    assert failed(few) == {}
    assert message(few, "steady") == message(few, "steady_power") == "too few repeats to tell"
