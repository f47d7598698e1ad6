"""The wall factor on simulated hosts with a known line at the wall: its interval, its limits and its key."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.energy.bounds import Energy
from agent.energy.crosscheck import powers
from agent.energy.layers import WorkingChannels
from agent.energy.wall_factor import (
    AppliedFactor,
    Split,
    WallFactorError,
    changes,
    class_watts,
    learn,
    predict,
    split_at_wall,
    total_inside,
    wall_key,
)
from agent.energy.window import SeriesEnergy
from meter_rig import LEVELS, dram, gpu, package, plug, windows_of
from probes.model import Device, Kind, Source
from sensor_channels import channel

PLUG = replace(
    channel("meter-desk", "wall", Kind.HOST), device=Device("meter-desk", Kind.HOST, "", (("meter", "shelly"),))
)
PACKAGE, DRAM = channel("package-0", "package"), channel("package-0", "dram")
CARD = channel("GPU-a", "board", Kind.GPU, max_plausible=2800.0)
SPLIT = Split((PLUG,), (PACKAGE, CARD))
LOADS = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 45.0, 105.0)


def exact(watts, half=0.0):
    return Energy(watts, watts - half, watts + half)


def window(cpu, card, wall, half=0.0):
    return {PACKAGE.place: exact(cpu, half), CARD.place: exact(card, half), PLUG.place: exact(wall, half)}


def windows(chance, slope=1.15, constant=48.0, noise=0.0, half=0.0, loads=LOADS):
    """Windows at several loads of both classes, whose wall scatters, and whose sensors err within their bounds."""
    found = []
    for load in loads:
        cpu, card = 25.0 + load, 18.0 + 1.6 * load
        wall = constant + slope * (cpu + card) + chance.gauss(0, noise)
        found.append({
            place: exact(true + chance.uniform(-half, half), half)
            for place, true in ((PACKAGE.place, cpu), (CARD.place, card), (PLUG.place, wall))
        })  # fmt: skip
    return found


def predicted(factor, cpu, card, seconds=60.0, half=0.0):
    total = exact(cpu + card, half)
    return predict(factor, total, class_watts({PACKAGE: cpu, CARD: card}), seconds)


def test_exact_windows_give_the_exact_line():
    factor = learn(SPLIT, windows(random.Random(1)), 60.0)
    assert (factor.slope, factor.constant_watts) == (pytest.approx(1.15), pytest.approx(48.0))
    assert factor.ranges == {"gpu": (18.0, 258.0), "processors": (25.0, 175.0), "total": (43.0, 433.0)}
    wall = predicted(factor, 100.0, 138.0)
    assert wall.joules == pytest.approx(48 + 1.15 * 238)
    assert wall.upper - wall.lower < 1e-6


@pytest.mark.parametrize(("noise", "half"), [(4.0, 0.0), (4.0, 1.0), (0.5, 3.0)])
def test_the_interval_of_a_prediction_covers_a_further_window_in_95_percent_of_the_cases(noise, half):
    chance, covered, runs = random.Random(3), 0, 400
    for _ in range(runs):
        factor = learn(SPLIT, windows(chance, noise=noise, half=half), 60.0)
        load = chance.uniform(5.0, 145.0)
        cpu, card = 25.0 + load, 18.0 + 1.6 * load
        wall = 48.0 + 1.15 * (cpu + card) + chance.gauss(0, noise)
        read = [each + chance.uniform(-half, half) for each in (cpu, card)]
        estimate = predicted(factor, *read, half=2 * half)
        covered += estimate.lower <= wall <= estimate.upper
    assert covered >= 0.92 * runs
    assert half or covered <= 0.985 * runs


@given(
    slope=st.floats(1.0, 1.6),
    constant=st.floats(0.0, 150.0),
    half=st.floats(0.0, 2.0),
    load=st.floats(0.0, 150.0),
    seed=st.integers(0, 2**32),
)
def test_without_scatter_the_bounds_of_the_sensors_always_cover_the_wall(slope, constant, half, load, seed):
    chance = random.Random(seed)
    factor = learn(SPLIT, windows(chance, slope, constant, half=half), 60.0)
    cpu, card = 25.0 + load, 18.0 + 1.6 * load
    read = [each + chance.uniform(-half, half) for each in (cpu, card)]
    try:
        estimate = predicted(factor, *read, half=2 * half)
    except WallFactorError:
        return  # a reading beyond the learned ones
    assert estimate.lower - 1e-6 <= constant + slope * (cpu + card) <= estimate.upper + 1e-6


def test_a_shorter_window_has_a_wider_interval():
    factor = learn(SPLIT, windows(random.Random(2), noise=3.0), 60.0)
    widths = [(each.upper - each.lower) for each in (predicted(factor, 100.0, 138.0, s) for s in (600, 60, 15))]
    assert widths[0] == widths[1]
    assert widths[2] == pytest.approx(2 * (widths[1] - 2 * factor.sensor_watts) + 2 * factor.sensor_watts)


@pytest.mark.parametrize(
    ("cpu", "card", "words"),
    [(200.0, 258.0, "processors 200 W"), (100.0, 400.0, "gpu 400 W"), (10.0, 18.0, "processors 10 W")],
)
def test_nothing_is_extrapolated_beyond_the_learned_powers_of_a_class(cpu, card, words):
    factor = learn(SPLIT, windows(random.Random(1)), 60.0)
    with pytest.raises(WallFactorError, match=f"{words}, and the wall factor was learned from"):
        predicted(factor, cpu, card)


def test_a_total_beyond_the_learned_ones_counts_if_its_bounds_reach_them():
    factor = learn(SPLIT, windows(random.Random(1)), 60.0)
    classes = {"processors": 100.0, "gpu": 100.0, "total": 434.0}
    assert predict(factor, Energy(434.0, 431.0, 437.0), classes, 60.0).joules > 0
    with pytest.raises(WallFactorError, match="total 434 W"):
        predict(factor, exact(434.0), classes, 60.0)


def test_a_class_that_was_not_learned_is_refused():
    factor = learn(SPLIT, windows(random.Random(1)), 60.0)
    with pytest.raises(WallFactorError, match="npu 9 W"):
        predict(factor, exact(200.0), {"total": 200.0, "processors": 90.0, "gpu": 101.0, "npu": 9.0}, 60.0)


def test_five_levels_of_each_class_are_needed():
    few = windows(random.Random(1), loads=(0.0, 50.0, 100.0, 150.0) * 3)
    with pytest.raises(WallFactorError, match=r"gpu: 4; processors: 4; total: 4"):
        learn(SPLIT, few, 60.0)
    idle_card = [window(cpu, 20.0, 60 + 1.1 * cpu) for cpu in (20.0, 40.0, 60.0, 80.0, 100.0, 120.0)]
    with pytest.raises(WallFactorError, match=r"\(gpu: 1\)"):
        learn(SPLIT, idle_card, 60.0)
    with pytest.raises(WallFactorError, match="no window has an energy of all sensors"):
        learn(SPLIT, [{PACKAGE.place: exact(5.0)}], 60.0)


def test_short_windows_are_refused():
    with pytest.raises(WallFactorError, match="windows of 30 s are too short"):
        learn(SPLIT, windows(random.Random(1)), 30.0)


def test_a_total_that_counts_a_part_twice_is_refused():
    with pytest.raises(WallFactorError, match="counts a part twice; see `inferometer crosscheck`"):
        learn(SPLIT, windows(random.Random(1), slope=0.8), 60.0)


def test_sensors_whose_bounds_hide_the_load_are_refused():
    wide = [window(25.0 + load, 18.0 + 1.6 * load, 98 + 3 * load, half=400.0) for load in LOADS]
    with pytest.raises(WallFactorError, match="wider than the change of the load"):
        learn(SPLIT, wide, 60.0)


def test_the_total_of_a_sampled_host_is_learned_without_its_plug():
    series = [plug(), package(), dram(), gpu()]
    working = WorkingChannels()
    working.add(series)
    split = split_at_wall(working.channels)
    assert [each.path for each in split.total] == ["package-0/package", "package-0/dram", "GPU-a/board"]
    energies = [SeriesEnergy(each) for each in series]
    factor = learn(split, [powers(energies, *span) for span in windows_of()], 60.0)
    assert factor.slope == pytest.approx(1 / 0.9, rel=0.01)
    assert factor.constant_watts == pytest.approx(40, abs=2)
    assert factor.windows == len(LEVELS)


def test_a_host_without_a_meter_or_without_other_sensors_has_no_factor():
    with pytest.raises(WallFactorError, match="no sensor measures the power at the wall"):
        split_at_wall([PACKAGE, CARD])
    with pytest.raises(WallFactorError, match="no other sensor"):
        split_at_wall([PLUG])
    with pytest.raises(WallFactorError, match="by bmc/wall: no factor is needed"):
        split_at_wall([PLUG, channel("bmc", "wall", Kind.BOARD), PACKAGE])
    model = replace(PACKAGE, source=Source.ESTIMATED)
    with pytest.raises(WallFactorError, match="no other sensor"):
        split_at_wall([PLUG, model])


def test_the_key_changes_with_devices_channels_limits_and_supplies_and_not_with_the_meter():
    channels = [PLUG, PACKAGE, DRAM, CARD, channel("psu-0", "pout1", Kind.PSU)]
    key = wall_key("host", channels, total_inside([PLUG, PACKAGE, DRAM, CARD]), {"intel-rapl:0 long_term": 125.0})
    without = wall_key("host", channels[1:], total_inside([PACKAGE, DRAM, CARD]), {"intel-rapl:0 long_term": 125.0})
    assert changes(key, without) == ()
    total = total_inside([PACKAGE, CARD])
    other = wall_key(
        "host", [PACKAGE, DRAM, CARD, channel("GPU-b", "board", Kind.GPU)], total, {"intel-rapl:0 long_term": 95.0}
    )
    assert changes(key, other) == (
        "counted channels: package-0/dram energy_joules is gone",
        "devices: GPU-b gpu is new",
        "power limits: intel-rapl:0 long_term 95 W is new, intel-rapl:0 long_term 125 W is gone",
        "power supplies: psu-0 is gone",
    )


def test_a_factor_holds_for_the_measured_sensors_of_its_total_alone():
    applied = AppliedFactor(
        learn(SPLIT, windows(random.Random(1)), 60.0), frozenset({"package-0/package", "GPU-a/board"})
    )
    counted = {PACKAGE: 100.0, CARD: 138.0}
    assert applied.power(exact(238.0), counted, 60.0).joules == pytest.approx(48 + 1.15 * 238)
    for other in ({PACKAGE: 100.0}, {replace(PACKAGE, source=Source.ESTIMATED): 100.0, CARD: 138.0}):
        with pytest.raises(WallFactorError, match="other sensors than the one that the wall factor was learned for"):
            applied.power(exact(238.0), other, 60.0)
