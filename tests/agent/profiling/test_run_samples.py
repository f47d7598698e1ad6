"""The energies of a run's windows from samples that are read part by part."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.energy.window import window_energy
from agent.profiling.analysis.layer_checks import check_layers
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.points import analyze
from agent.profiling.run_samples import EXCERPT_SAMPLES, run_samples
from probes.model import Channel, Device, Kind
from simulated import SECOND, Power, counter, joules_channel, last, read_times, refreshes
from store.records import Series
from synthetic_run import DRAM, PACKAGE, idle, power_steps, read, window

RUN_SECONDS = 120
STEPS = power_steps(*(((40.0, 0.7), (90.0, 0.3)) * 130))
OTHER = power_steps(*(((7.0, 0.2), (11.0, 0.9)) * 130))
GAUGE = replace(PACKAGE, metric="power_watts", method="instant", resolution=0.0, max_plausible=400.0)
POINTS = ("batch=1", "batch=2", "batch=4")
WINDOWS = [
    idle("idle_unloaded", 2, 4),
    *(
        window(repeat, start, start + 3, point=point)
        for repeat in range(1, 6)
        for number, point in enumerate(POINTS)
        for start in (6 + (repeat - 1) * 18 + number * 5,)
    ),
    idle("idle_unloaded", 110, 112, side=1),
]
PACKAGE_SERIES = read(PACKAGE, STEPS, RUN_SECONDS)
SERIES = (PACKAGE_SERIES, read(DRAM, OTHER, RUN_SECONDS))


class Store:
    """Series of a whole run; `reads` are the times of the reads of it."""

    def __init__(self, *series):
        self._series = series
        self.reads = []

    def read(self, start_ns, end_ns, metrics):
        self.reads.append((start_ns, end_ns))
        return tuple(self._cut(each, start_ns, end_ns) for each in self._series if each.channel.metric in metrics)

    @staticmethod
    def _cut(series, start_ns, end_ns):
        own = slice(bisect_left(series.times_ns, start_ns), bisect_right(series.times_ns, end_ns))
        return replace(
            series, times_ns=series.times_ns[own], values=series.values[own], halves_ns=series.halves_ns[own]
        )


def collected(store, part_seconds, windows=WINDOWS):
    channels = [each.channel for each in SERIES]
    return run_samples(store.read, windows, 0.01, channels, part_seconds * SECOND)


@pytest.mark.parametrize("part_seconds", [1, 20, 1000])
def test_the_points_of_a_run_are_the_same_however_it_is_read(part_seconds):
    parts = collected(Store(*SERIES), part_seconds)
    assert analyze(WINDOWS, parts.sensors, None) == analyze(WINDOWS, Sensors.of(SERIES, 0.01), None)


def test_the_samples_are_read_once_but_for_the_first_part_and_the_edges():
    store = Store(*SERIES)
    analyze(WINDOWS, collected(store, 20).sensors, None)
    longest = max(end - start for start, end in store.reads)
    assert len(store.reads) == 1 + len(set(store.reads))
    assert longest <= 30 * SECOND
    whole = Store(*SERIES)
    analyze(WINDOWS, collected(whole, 1000).sensors, None)
    assert len(whole.reads) == 1


def test_a_window_that_was_not_planned_is_read_when_its_energy_is_wanted():
    store = Store(*SERIES)
    sensors = collected(store, 20).sensors
    before = len(store.reads)
    found = [each.between(50 * SECOND, 52 * SECOND).energy for each in sensors.series]
    assert found == [window_energy(each, 50 * SECOND, 52 * SECOND).energy for each in SERIES]
    assert len(store.reads) == before + 1


def test_a_window_longer_than_a_part_is_read_whole():
    long = [window(1, 3, 100)]
    (series,) = collected(Store(PACKAGE_SERIES), 1, long).sensors.series
    assert series.between(3 * SECOND, 100 * SECOND) == window_energy(PACKAGE_SERIES, 3 * SECOND, 100 * SECOND)


def test_conditions_have_at_most_four_values_a_second_and_lose_no_reason():
    times = [number * SECOND // 100 for number in range(RUN_SECONDS * 100)]
    device = Device("GPU-a", Kind.GPU)
    reasons = Series(
        Channel(device, "board", "throttle_reasons"), times, [4.0 if t == 205 * SECOND // 100 else 1.0 for t in times]
    )
    clocks = Series(Channel(device, "sm", "frequency_hertz"), times, [1e9] * len(times))
    found = collected(Store(*SERIES, reasons, clocks), 20).conditions
    assert [each.channel.metric for each in found] == ["throttle_reasons", "frequency_hertz"]
    for each in found:
        assert len(each.times_ns) <= 4 * RUN_SECONDS + 1
        assert list(each.times_ns) == sorted(set(each.times_ns))
    assert set(found[0].values) == {1.0, 5.0}


def test_a_gauge_that_shows_power_only_in_the_middle_of_a_long_run_is_part_of_the_total():
    many = 3 * EXCERPT_SAMPLES
    times = [number * SECOND // 1000 for number in range(many)]
    middle = range(many // 2 - 100, many // 2 + 100)
    gauge = Series(GAUGE, times, [50.0 if number in middle else 0.0 for number in range(many)])
    windows = [window(number, 2 + 3 * number, 4 + 3 * number) for number in range(1, 18)]
    found = run_samples(Store(gauge).read, windows, 0.001, [GAUGE], 10 * SECOND)
    assert [each.channel for each in found.sensors.included] == [GAUGE]
    assert found.reporting == {"package-0"}


def test_a_run_without_windows_reads_nothing():
    store = Store(*SERIES)
    assert run_samples(store.read, [], 0.01, []).sensors.series == ()
    assert store.reads == []


def without(series, start, end):
    """A series without its samples between two times, in seconds."""
    kept = [at for at, at_ns in enumerate(series.times_ns) if not start * SECOND <= at_ns < end * SECOND]
    times_ns, values = ([each[at] for at in kept] for each in (series.times_ns, series.values))
    return replace(series, times_ns=times_ns, values=values)


@pytest.mark.parametrize("gap", [(23, 47), (0, 60), (70, RUN_SECONDS + 1), (5.5, 6.5)], ids=str)
def test_a_gap_at_the_edge_of_a_part_leaves_the_energies_of_the_whole_series(gap):
    series = without(PACKAGE_SERIES, *gap)
    parts = collected(Store(series), 20)
    whole = Sensors.of([series], 0.01)
    for each in WINDOWS:
        edges = (each.start_ns, each.end_ns)
        assert parts.sensors.series[0].between(*edges).energy == whole.series[0].between(*edges).energy


def test_a_counter_that_stands_still_past_the_edge_of_a_part_has_the_doubt_of_the_whole_series():
    channel = replace(PACKAGE, refresh_seconds=0.01, max_plausible=400.0)
    frozen = range(3800, 6200)
    values = [PACKAGE_SERIES.values[min(at, frozen.start) if at in frozen else at] for at in range(RUN_SECONDS * 100)]
    series = replace(PACKAGE_SERIES, channel=channel, times_ns=PACKAGE_SERIES.times_ns[: len(values)], values=values)
    (found,) = run_samples(Store(series).read, WINDOWS, 0.01, [channel], 20 * SECOND).sensors.series
    for each in WINDOWS:
        expected = window_energy(series, each.start_ns, each.end_ns)
        assert found.between(each.start_ns, each.end_ns) == expected
    assert any(found.between(each.start_ns, each.end_ns).reasons for each in WINDOWS)


def test_an_idle_device_costs_no_further_read():
    idle_counter = replace(PACKAGE_SERIES, values=[7.0] * len(PACKAGE_SERIES.values))
    store = Store(idle_counter)
    collected(store, 20)
    assert len(store.reads) == 1 + len(set(store.reads))


def test_the_layers_of_meters_are_compared_alike_however_the_run_is_read():
    plug = Channel(Device("plug", Kind.HOST), "wall", "power_watts", method="instant", max_plausible=4000.0)
    watts = [20.0 + 1.2 * (40.0 if at % 100 < 70 else 90.0) for at in range(RUN_SECONDS * 100)]
    meter = Series(plug, PACKAGE_SERIES.times_ns[: len(watts)], watts)
    parts = collected(Store(*SERIES, meter), 20)
    whole = check_layers(WINDOWS, Sensors.of((*SERIES, meter), 0.01))
    assert whole
    assert check_layers(WINDOWS, parts.sensors) == whole


@given(
    powers=st.lists(
        st.tuples(st.sampled_from((0.05, 0.5, 3.0, 20.0)), st.sampled_from((0.0, 0.5, 40.0, 90.0))), min_size=1
    ),
    refresh=st.sampled_from((0.001, 0.05, 0.5)),
    period=st.sampled_from((0.05, 0.3, 1.0)),
    step=st.sampled_from((0.0, 0.5, 7.0)),
    gaps=st.lists(st.tuples(st.floats(-1, 90), st.sampled_from((1, 6, 15, 40))), max_size=3),
    frozen=st.tuples(st.floats(0, 90), st.sampled_from((0, 2, 8, 40))),
    lengths=st.lists(
        st.tuples(st.sampled_from((0.5, 2, 5, 30)), st.sampled_from((-1, 0, 2, 9))), min_size=2, max_size=20
    ),
    part_seconds=st.sampled_from((1, 5, 20, 40)),
)
def test_the_bound_of_an_unusual_run_that_is_read_in_parts_holds_its_energy(
    powers, refresh, period, step, gaps, frozen, lengths, part_seconds
):
    power = Power(tuple((seconds, watts) for _ in range(20) for seconds, watts in powers))
    shown = [at for at in refreshes(refresh, 100) if not frozen[0] < at < sum(frozen)]
    channel = joules_channel(refresh, step, max_plausible=400.0)
    series = counter(power, shown, read_times(period, 100), step, channel)
    for start, seconds in gaps:
        series = without(series, start, start + seconds)
    stale = [at for at in series.times_ns if last(shown, at / SECOND) < at / SECOND - 2 * refresh]
    assume(len(stale) != 1)  # after a gap, a single value that is old does not differ from a new one
    assume(not frozen[1] or power.joules(sum(frozen), frozen[0]) >= 3 * step)  # less may pass for a slow step
    windows, at = [], 3.0
    for number, (seconds, pause) in enumerate(lengths, 1):
        windows.append(window(number, at, at + seconds))
        at += max(0.1, seconds + pause)
    windows = [each for each in windows if each.end_ns < 95 * SECOND]
    found = run_samples(Store(series).read, windows, period, [channel], part_seconds * SECOND).sensors.series
    for each in windows if found else ():
        energy = found[0].between(each.start_ns, each.end_ns).energy
        truth = power.joules(each.end_ns / SECOND, each.start_ns / SECOND)
        assert energy is None or energy.lower - 1e-6 <= truth <= energy.upper + 1e-6
