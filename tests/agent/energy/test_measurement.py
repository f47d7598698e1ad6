"""The energy between two moments, from ticks as they come from the probes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from agent.energy.counted_sensors import Boundary
from agent.energy.measurement import (
    enforce_tolerance,
    is_stuck,
    longest_needed_seconds,
    measure,
    series_of,
    with_causes,
)
from agent.energy.provenance import Provenance
from agent.energy.read_rates import needed_seconds
from probes.model import TASK_COUNTER, Channel, Device, Kind, Reason, Rejection
from simulated import SECOND, constant
from store.records import Layout, Series, Tick
from synthetic_run import CORE, DRAM, GPU, MODEL, PACKAGE, read

WATTS = replace(PACKAGE, metric="power_watts")
HEAT = Channel(PACKAGE.device, "package", "temperature_celsius")


def tick(layout, at, *values, rejections=()):
    return Tick(layout, at * 1000, at * 1000 + 500, values, rejections)


def test_ticks_become_one_series_a_domain_in_the_middle_of_the_reads():
    layouts = [Layout(1, "rapl", (PACKAGE, DRAM)), Layout(2, "hwmon", (HEAT, WATTS))]
    ticks = [tick(1, 1, 10.0, 1.0), tick(2, 1, 40.0, 99.0), tick(1, 2, 20.0, 2.0)]
    package, dram, watts = series_of(iter(layouts), iter(ticks))
    assert (watts.channel, watts.values, watts.halves_ns) == (WATTS, (99.0,), (250,))
    assert (package.channel, package.times_ns, package.values) == (PACKAGE, (1250, 2250), (10.0, 20.0))
    assert (dram.channel, dram.values) == (DRAM, (1.0, 2.0))


def test_a_missing_reading_is_not_a_sample_and_a_refused_one_stays_with_its_reason():
    refused = (Rejection(0, Reason.RESET), Rejection(1, Reason.READ_ERROR))
    ticks = [tick(1, 1, 10.0, 1.0), tick(1, 2, math.nan, math.nan, rejections=refused), tick(1, 3, 30.0, 3.0)]
    package, dram = series_of([Layout(1, "rapl", (PACKAGE, DRAM))], ticks)
    assert package.values == (10.0, 30.0)
    assert package.rejections == ((2000, Reason.RESET),)
    assert dram.rejections == ((2000, Reason.READ_ERROR),)


def test_two_probes_of_one_domain_make_one_reading():
    layouts = [Layout(1, "rapl", (PACKAGE,)), Layout(2, "hwmon/amd_energy", (PACKAGE,))]
    ticks = [tick(layout, at, at * factor) for at in range(1, 9) for layout, factor in ((1, 10.0), (2, 77.0))]
    (reading,) = measure(series_of(layouts, ticks), 3000, 5000).readings
    assert reading.energy.joules == pytest.approx(20)


def test_a_gauge_replaces_a_counter_without_samples():
    layouts = [Layout(1, "nvml", (PACKAGE, WATTS))]
    ticks = [tick(1, at, math.nan, 50.0) for at in range(1, 9)]
    (reading,) = measure(series_of(layouts, ticks), 3000, 5000).readings
    assert (reading.channel, reading.method) == (WATTS, "integrated")


def test_a_difference_of_gauge_and_counter_is_a_reason_that_prefers_the_counter():
    counter, gauge = read(GPU, constant(100.0), 9), read(GPU, constant(80.0), 9)
    power = Channel(GPU.device, GPU.domain, "power_watts", refresh_seconds=0.1, method="average")
    for watts, aliased, words in (
        (80.0, True, "sees only a part of the time"),
        (80.0, False, "averages over the time"),
        (98.0, False, None),
    ):
        series = replace(gauge, channel=replace(power, aliased=aliased), values=tuple(watts for _ in gauge.values))
        (reading,) = measure([series, counter], 3 * SECOND, 6 * SECOND).readings
        assert reading.method == "counter"
        assert reading.disagreement == pytest.approx(watts / 100 - 1, abs=0.01)
        assert reading.energy.joules == pytest.approx(300, rel=0.01)
        if words is None:
            assert reading.reasons == ()
        else:
            assert "the counter is preferred" in reading.reasons[0]
            assert words in reading.reasons[0]


def test_a_counter_alone_or_without_a_change_has_no_difference():
    watts = Series(WATTS, tuple(second * SECOND for second in range(10)), (0.0,) * 10)
    for series in ([read(PACKAGE, constant(100.0), 9)], [read(PACKAGE, constant(0.0), 9), watts]):
        (reading,) = measure(series, 2 * SECOND, 7 * SECOND).readings
        assert (reading.disagreement, reading.reasons) == (None, ())


def test_an_energy_too_uncertain_for_the_tolerance_is_refused_with_the_time_it_needs():
    found = measure(
        [read(GPU, constant(100.0), 6)], 2 * SECOND, round(2.4 * SECOND)
    )  # read every 10 ms: 2.5 % are open
    assert enforce_tolerance(found, 0.03) == found
    strict = enforce_tolerance(found, 0.01)
    (refused,) = strict.readings
    assert (strict.total, refused.energy, refused.mean_watts) == (None, None, None)
    assert refused.reasons == ("±2.5 % of it left open, ±1 % asked for: it needs 1 s or more",)


def test_a_stuck_sensor_of_the_total_leaves_no_total():
    still = replace(read(PACKAGE, constant(0.0), 6), times_ns=(2 * SECOND - 1, 3 * SECOND), values=(7.0, 7.0))
    found = measure([still], 2 * SECOND, round(2.5 * SECOND))
    assert is_stuck(found.readings[0])
    assert (found.total, found.readings[0].energy.joules) == (None, 0)


def test_a_counter_of_tasks_that_all_rest_is_not_a_dead_sensor():
    resting = replace(PACKAGE, method=TASK_COUNTER)
    still = replace(read(resting, constant(0.0), 6), times_ns=(2 * SECOND - 1, 3 * SECOND), values=(7.0, 7.0))
    assert not is_stuck(measure([still], 2 * SECOND, round(2.5 * SECOND)).readings[0])


def test_a_gauge_that_shows_no_power_is_not_a_dead_sensor():
    supply = Channel(Device("psu-1", Kind.PSU), "wall", "power_watts", method="instant", refresh_seconds=0.1)
    standby = replace(read(PACKAGE, constant(0.0), 6), channel=supply, values=(0.0,) * 1201)
    found = measure([standby], 2 * SECOND, round(2.5 * SECOND))
    assert not is_stuck(found.readings[0])
    assert found.total.joules == 0


def test_a_small_part_too_uncertain_for_the_tolerance_leaves_the_total():
    still = read(DRAM, constant(0.0), 6)
    found = enforce_tolerance(measure([read(PACKAGE, constant(100.0), 6), still], 2 * SECOND, 4 * SECOND), 0.05)
    assert found.total.joules == pytest.approx(200)


def test_no_window_length_suffices_for_a_model_or_a_stuck_sensor():
    (modelled,) = enforce_tolerance(measure([read(MODEL, constant(50.0), 6)], 2 * SECOND, 4 * SECOND), 0.05).readings
    assert "no length of time is enough" in modelled.reasons[0]
    (still,) = enforce_tolerance(measure([read(PACKAGE, constant(0.0), 6)], 2 * SECOND, 4 * SECOND), 0.05).readings
    assert still.reasons == ("it stood still",)


def test_the_slowest_sensor_with_a_sufficient_length_sets_the_window_length():
    assert longest_needed_seconds([PACKAGE, GPU, MODEL, HEAT], 0.05) == 1.5 * needed_seconds(GPU, 0.05)
    assert longest_needed_seconds([MODEL], 0.05) == 0


def test_a_layout_without_ticks_has_a_series_without_samples():
    (series,) = series_of([Layout(1, "rapl", (PACKAGE,))], [])
    assert (series.times_ns, series.values) == ((), ())


def test_the_total_adds_its_sensors_and_the_others_are_listed():
    series = [read(channel, constant(watts), 6) for channel, watts in ((PACKAGE, 100), (DRAM, 20), (CORE, 60))]
    found = measure(series, 2 * SECOND, 4 * SECOND)
    assert found.seconds == 2
    assert found.total.joules == pytest.approx(240)
    assert found.total.lower < 240 < found.total.upper
    assert found.source is Provenance.MEASURED
    assert found.coverage.boundary is Boundary.PACKAGE
    assert [round(reading.energy.joules) for reading in found.readings] == [200, 40, 120]


def test_a_total_of_measured_and_estimated_parts_is_mixed():
    series = [read(MODEL, constant(50.0), 6), read(GPU, constant(100.0), 6)]
    found = measure(series, 2 * SECOND, 4 * SECOND)
    assert found.source is Provenance.MIXED
    assert found.total.upper == pytest.approx(100 * 1.5 + 200, rel=0.01)


def test_a_sensor_of_the_total_that_stopped_leaves_no_total():
    found = measure([read(PACKAGE, constant(100.0), 6), read(DRAM, constant(20.0), 3)], 2 * SECOND, 4 * SECOND)
    assert found.total is None
    assert found.readings[0].energy is not None
    assert found.readings[1].reasons == ("no sample after the window's end",)


def test_a_suspended_device_leaves_the_total_of_the_others():
    asleep = replace(read(GPU, constant(1.0), 1), times_ns=(), values=())
    found = measure([read(PACKAGE, constant(100.0), 6), asleep], 2 * SECOND, 4 * SECOND)
    assert found.total.joules == pytest.approx(200)
    assert "GPU-a/board (its sensor shows nothing)" in found.coverage.not_covered


def test_without_sensors_there_is_no_total_and_no_source():
    found = measure([], 2 * SECOND, 4 * SECOND)
    assert (found.total, found.source, found.readings) == (None, None, ())


def test_a_measurement_must_end_after_it_starts():
    with pytest.raises(ValueError, match="must end after it starts"):
        measure([read(PACKAGE, constant(100.0), 6)], 4 * SECOND, 2 * SECOND)


def test_the_fault_of_a_sensor_replaces_the_missing_sample_as_its_reason():
    layouts = [Layout(1, "rapl", (PACKAGE, DRAM))]
    ticks = [tick(1, at, at * 10.0, math.nan) for at in range(1, 9)]
    measured = measure(series_of(layouts, ticks), 3000, 5000)
    faults = {channel.place: "it hangs" for channel in (PACKAGE, DRAM)}
    reported = {reading.channel.domain: reading for reading in with_causes(measured, faults).readings}
    assert reported["package"].energy
    assert "it hangs" not in reported["package"].reasons
    assert reported["dram"].reasons == ("it hangs",)
    assert with_causes(measured, {}).readings == measured.readings
