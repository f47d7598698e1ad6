"""The energy of any sensor in a window: its reasons, its method, and its sums."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.energy.bounds import Energy
from agent.energy.window import method_of, window_energy
from power_series import at, counted, energy
from probes.model import Channel, Device, Kind, Reason, Source
from simulated import SECOND, constant, counter, joules_channel, read_times, refreshes, watts_channel
from store.records import Series


@pytest.mark.parametrize(
    ("start", "end", "reasons"),
    [
        (0.5, 2, ("no sample before the window's start",)),
        (1, 4, ("no sample after the window's end",)),
        (0, 4, ("no sample before the window's start", "no sample after the window's end")),
    ],
)
def test_a_window_that_the_samples_do_not_bracket_has_no_energy(start, end, reasons):
    found = window_energy(counted({1: 100, 2: 200, 3: 300}), *at(start, end))
    assert (found.energy, found.mean_watts, found.peak_watts) == (None, None, None)
    assert found.reasons == reasons


def test_a_sensor_whose_readings_were_all_refused_says_why():
    refused = tuple((second * SECOND, Reason.IMPOSSIBLE) for second in range(5))
    found = window_energy(Series(watts_channel(), (), (), (*refused, (9 * SECOND, Reason.SENTINEL))), *at(1, 2))
    assert found.energy is None
    assert found.reasons[-1] == "readings were rejected: 5 as impossible, 1 as sentinel (docs/sensor-faults.md)"


def test_a_channel_without_samples_has_no_energy():
    found = window_energy(Series(joules_channel(), (), ()), *at(1, 2))
    assert found.energy is None
    assert len(found.reasons) == 2


def test_an_estimate_has_the_uncertainty_of_its_model_and_is_never_below_0():
    samples = {second: 100.0 * second for second in range(9)}
    half = joules_channel(0.01, 0.001, source=Source.ESTIMATED, uncertainty=0.5)
    found = window_energy(counted(samples, half), *at(2, 4))
    assert found.method == "model"
    assert found.energy.joules == pytest.approx(200)
    assert found.energy.lower == pytest.approx((200 - 2000 * 0.01 - 0.001) / 2)  # less what a refresh may hide
    assert found.energy.upper == pytest.approx((400 + 2000 * 0.01 - 200 + 0.001) * 1.5)
    wide = replace(half, uncertainty=1.3)
    assert energy(counted(samples, wide), 2, 4).lower == 0
    assert energy(counted(samples, wide), 2, 4).upper == pytest.approx((400 + 2000 * 0.01 - 200 + 0.001) * 2.3)


def test_a_window_of_a_long_run_has_the_same_energy_as_alone():
    series = counter(constant(70.0), refreshes(0.01, 60), read_times(0.05, 60), 0.0, joules_channel(0.01, 0.001))
    short = slice(300, 800)
    alone = replace(series, times_ns=series.times_ns[short], values=series.values[short])
    assert energy(series, 24, 31) == energy(alone, 24, 31)


def test_a_window_must_end_after_it_starts():
    with pytest.raises(ValueError, match="must end after it starts"):
        window_energy(counted({0: 0, 1: 1}), SECOND, SECOND)


def test_only_energy_and_power_are_integrated():
    heat = Channel(Device("package-0", Kind.CPU), "package", "temperature_celsius")
    with pytest.raises(ValueError, match="temperature_celsius measures no energy"):
        window_energy(Series(heat, at(0, 1), (40.0, 41.0)), *at(0, 1))


def test_the_method_names_the_origin_of_an_energy():
    assert method_of(joules_channel()) == "counter"
    assert method_of(watts_channel()) == "integrated"
    assert method_of(joules_channel(source=Source.ESTIMATED)) == "model"


def test_energies_add_and_scale_with_their_bounds():
    assert Energy(2, 1, 4).plus(Energy(3, 3, 5)) == Energy(5, 4, 9)
    assert Energy(2, 1, 4).times(0.5) == Energy(1, 0.5, 2)
