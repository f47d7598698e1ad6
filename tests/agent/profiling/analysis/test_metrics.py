"""Sums and means of energies, and the cases in which they are unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.energy.bounds import Energy
from agent.energy.provenance import Provenance, provenance
from agent.profiling.analysis.intervals import interval, quantity, token_rate
from agent.profiling.analysis.metrics import (
    Sensors,
    TokenCounts,
    idle_watts,
    joules_per_inference,
    point_power,
    seconds_per_inference,
    sensor_windows,
    tokens_per_inference,
)
from simulated import constant
from synthetic_run import DRAM, MODEL, PACKAGE, bare, energies, idle, power_steps, read, repeats, window

POINT = tuple((each,) for each in repeats((6, 8, 10, 12)))
STEADY = read(PACKAGE, constant(100.0), 14)


def test_a_sum_is_measured_estimated_or_mixed():
    assert provenance([PACKAGE, DRAM]) is Provenance.MEASURED
    assert provenance([MODEL]) is Provenance.ESTIMATED
    assert provenance([MODEL, DRAM]) is Provenance.MIXED


def test_one_repeat_has_the_sensor_s_bound_and_no_more():
    found = quantity([Energy(10, 9, 12)], Provenance.MEASURED)
    assert (found.mean, found.lower, found.upper) == (10, 9, 12)


def test_the_bounds_of_repeats_are_averaged_and_never_below_0():
    found = quantity([Energy(1, 0, 5), Energy(3, 2, 5)], Provenance.MEASURED)
    half = 12.706204736 * 2**0.5 / 2**0.5  # Student's t of one degree
    assert found.mean == 2
    assert found.lower == 0
    assert found.upper == pytest.approx(2 + half + 3)


@given(st.lists(st.tuples(*[st.floats(0, 1e9)] * 3), min_size=1, max_size=6), st.floats(0, 1e3))
def test_the_bounds_of_any_quantity_are_in_order(triples, factor):
    energies = [Energy(middle, low, high).times(factor) for low, middle, high in map(sorted, triples)]
    total = energies[0]
    for energy in energies[1:]:
        total = total.plus(energy)
    for found in (quantity(energies, Provenance.MEASURED), quantity([total], Provenance.MEASURED)):
        assert 0 <= found.lower <= found.mean <= found.upper


def test_a_rate_of_one_repeat_has_no_interval():
    assert interval([5.0]).upper is None
    assert interval([1.0, 9.0]).lower == 0
    assert interval([5.0, 5.0]).upper == 5


def test_an_inference_takes_the_time_of_all_its_phases():
    repeat = (window(1, 0, 1, "prefill", 10, tokens=(100, 1)), window(1, 1, 3, "decode", 5, tokens=(0, 19)))
    assert seconds_per_inference(repeat) == pytest.approx(0.5)
    assert tokens_per_inference([repeat]) == TokenCounts((100,), (20,))
    assert tokens_per_inference([repeat]).both == (120,)
    assert tokens_per_inference(POINT[:1]) == TokenCounts((0,), (0,))


def test_the_rate_of_tokens_is_that_of_each_repeat() -> None:
    found = token_rate((10.0, 20.0), (3.0, 1.0))
    assert found is not None
    assert found.mean == 25
    assert token_rate((0.0, 0.0), (3.0, 1.0)) is None


def test_a_channel_that_two_probes_read_counts_once():
    doubled = bare(STEADY, read(PACKAGE, constant(100.0), 14))
    found = sensor_windows(POINT, doubled.series)
    assert len(doubled.included) == 1
    (total,) = {round(each.joules, 6) for each in joules_per_inference(POINT, doubled.total_of(found))}
    assert total == pytest.approx(20)


def test_sensors_select_the_best_series_and_its_gauge_for_comparison():
    gauge = replace(STEADY, channel=replace(PACKAGE, metric="power_watts"))
    other = replace(STEADY, channel=replace(DRAM, metric="power_watts"))
    chosen = Sensors.of([gauge, STEADY, other], 0.1)
    assert [each.series for each in chosen.series] == [STEADY, other]
    assert [each.series for each in chosen.redundant_gauges] == [gauge]
    assert chosen.source is Provenance.MEASURED
    assert chosen.counted(PACKAGE)
    assert not chosen.counted(MODEL)


def test_an_estimate_has_no_redundant_gauge():
    modelled = replace(STEADY, channel=replace(MODEL, metric="power_watts"))
    assert Sensors.of([read(MODEL, constant(5.0), 14), modelled], 0.1).redundant_gauges == ()


def test_energy_is_unknown_without_sensors_or_with_a_silent_one():
    silent = replace(STEADY, channel=DRAM, times_ns=(), values=())
    assert joules_per_inference(POINT, ()) is None
    assert joules_per_inference(POINT, sensor_windows(POINT, energies(STEADY, silent))) is None
    assert joules_per_inference(POINT, sensor_windows(POINT, energies(STEADY)))[0].joules == pytest.approx(20)


def test_idle_power_is_unknown_without_a_window_sensors_or_samples():
    known, late = idle("idle_loaded", 1, 3), idle("idle_loaded", 1, 30)
    assert idle_watts([], energies(STEADY)) is None
    assert idle_watts([known], []) is None
    assert idle_watts([late], energies(STEADY)) is None
    assert idle_watts([known], energies(STEADY)).joules == pytest.approx(100)
    assert idle_watts([late, known], energies(STEADY)) == idle_watts([known], energies(STEADY))


def test_idle_power_is_the_mean_before_and_after_and_its_bounds_span_both():
    series = read(PACKAGE, power_steps((40, 4), (100, 6), (60, 10)), 14)
    before, after = idle("idle_unloaded", 1, 3), idle("idle_unloaded", 11, 13, side=1)
    found = idle_watts([before, after], energies(series))
    assert found.joules == pytest.approx(50)
    assert found.lower == idle_watts([before], energies(series)).lower < 40
    assert found.upper == idle_watts([after], energies(series)).upper > 60


def test_a_peak_is_unknown_if_one_sensor_has_none():
    still = read(DRAM, constant(0.0), 14)
    totals = [Energy(20, 20, 20)] * 3
    known = point_power(POINT, sensor_windows(POINT, energies(STEADY)), totals, Provenance.MEASURED)
    assert known.peak_watts == pytest.approx(100)
    refused = point_power(POINT, sensor_windows(POINT, energies(STEADY, still)), totals, Provenance.MEASURED)
    assert refused.peak_watts is None
