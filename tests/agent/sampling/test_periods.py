"""Consecutive periods of one recording have the energy of all its ticks."""

from __future__ import annotations

import pytest

from agent.energy.measurement import measure, series_of
from agent.sampling.periods import PeriodSamples
from probes.model import Channel, Device, Kind
from store.records import Layout, Tick

SECOND = 1_000_000_000
LAYOUT = Layout(1, "rapl", (Channel(Device("package-0", Kind.CPU), "package", "energy_joules", refresh_seconds=0.001),))
TICKS = [Tick(1, at * SECOND // 10, at * SECOND // 10 + 1000, (5.0 * at,)) for at in range(1200)]


def test_each_period_has_its_energy_and_the_ticks_beyond_its_edges() -> None:
    sink = PeriodSamples([LAYOUT])
    found = []
    for number in range(4):
        sink.take(TICKS[number * 300 : number * 300 + 50])
        samples = sink.begin()
        sink.take(TICKS[number * 300 + 50 : number * 300 + 250])
        sink.end((number * 30 + 25) * SECOND)
        found.append(samples)
        sink.take(TICKS[number * 300 + 250 : (number + 1) * 300])
    whole = series_of([LAYOUT], TICKS)
    for number, samples in enumerate(found):
        edges = ((number * 30 + 5) * SECOND + SECOND // 20, (number * 30 + 25) * SECOND - SECOND // 20)
        own = measure(samples.series, *edges)
        assert own.total is not None
        assert own.total == measure(whole, *edges).total
        assert own.total.joules == pytest.approx(50 * 19.9, rel=0.01)


def test_an_ended_period_takes_no_ticks_later_than_ten_seconds_after_its_end() -> None:
    sink = PeriodSamples([LAYOUT])
    samples = sink.begin()
    sink.take(TICKS[:100])
    sink.end(5 * SECOND)
    for start in range(100, 1200, 10):
        sink.take(TICKS[start : start + 10])
    [series] = samples.series
    assert 15 * SECOND < series.times_ns[-1] < 17 * SECOND
    sink.take([])
