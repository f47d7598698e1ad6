"""The energies of a run's windows from samples that are read part by part."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

import pytest

from agent.energy.window import window_energy
from agent.profiling.analysis.metrics import Sensors
from agent.profiling.points import analyze
from agent.profiling.run_samples import EXCERPT_SAMPLES, run_samples
from probes.model import Channel, Device, Kind
from simulated import SECOND
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
