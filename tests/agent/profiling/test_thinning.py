"""A measurement of a day fits into memory, and its energy is that of all its ticks."""

from __future__ import annotations

import math
import random

import pytest

from agent.profiling.measurement import measure, series_of
from agent.profiling.thinning import DENSE_NS, Thinned
from probes.model import Channel, Device, Kind, Reason, Rejection
from store.records import Layout, Tick

BEAT_NS = 10_000_000
ENERGY = Layout(1, "rapl", (Channel(Device("package-0", Kind.CPU), "package", "energy_joules", refresh_seconds=0.001),))
POWER = Layout(2, "hwmon", (Channel(Device("card", Kind.GPU), "board", "power_watts", refresh_seconds=0.1),))


def counted(seconds: float, rejected: dict[int, Reason] | None = None) -> list[Tick]:
    """Return ticks of a counter that runs at about 100 W; those `rejected` gave nothing."""
    joules, ticks, chance = 0.0, [], random.Random(1)
    for beat in range(round(seconds * 1e9 / BEAT_NS)):
        joules += chance.uniform(0.5, 1.5)
        at_ns, reason = beat * BEAT_NS, (rejected or {}).get(beat)
        refused = (Rejection(0, reason),) if reason else ()
        ticks.append(Tick(1, at_ns, at_ns + 1000, (math.nan if reason else joules,), refused))
    return ticks


@pytest.mark.parametrize("rejected", [{}, {9000: Reason.RESET, 12_345: Reason.READ_ERROR, 12_346: Reason.READ_ERROR}])
def test_a_thinned_counter_gives_the_energy_of_all_its_ticks(rejected: dict[int, Reason]) -> None:
    ticks = counted(200, rejected)
    thinned = Thinned([ENERGY])
    for start in range(0, len(ticks), 97):
        thinned.take(ticks[start : start + 97])
    assert len(thinned.ticks) < len(ticks) / 2
    assert thinned.ticks == sorted(thinned.ticks, key=lambda tick: tick.start_ns)
    ends = (1_234_567_890, 198_765_432_100)
    kept, whole = (measure(series_of([ENERGY], each), *ends) for each in (thinned.ticks, ticks))
    assert kept.total is not None
    assert whole.total is not None
    for name in ("joules", "lower"):
        assert getattr(kept.total, name) == pytest.approx(getattr(whole.total, name), rel=1e-3 if rejected else 1e-12)
    assert kept.readings[0].reasons == whole.readings[0].reasons


def test_memory_does_not_grow_with_the_beat() -> None:
    thinned = Thinned([ENERGY])
    thinned.take(counted(600))
    dense = 2 * DENSE_NS // BEAT_NS
    assert dense < len(thinned.ticks) < dense + 600


def test_power_that_has_to_be_summed_is_kept_whole() -> None:
    ticks = [Tick(2, beat * BEAT_NS, beat * BEAT_NS, (5.0,)) for beat in range(20_000)]
    thinned = Thinned([ENERGY, POWER])
    thinned.take(ticks)
    assert thinned.ticks == ticks


def test_where_a_counter_is_silent_its_gauge_is_kept_whole_and_where_it_speaks_thinned() -> None:
    gpu = Device("GPU-1", Kind.GPU)
    both = Layout(3, "nvml", (Channel(gpu, "board", "energy_joules"), Channel(gpu, "board", "power_watts")))
    for counter, whole in ((math.nan, True), (7.0, False)):
        thinned = Thinned([both])
        ticks = [Tick(3, beat * BEAT_NS, beat * BEAT_NS, (counter, 5.0)) for beat in range(10_000)]
        thinned.take(ticks)
        assert (thinned.ticks == ticks) is whole
        assert len(thinned.ticks) >= 2 * DENSE_NS // BEAT_NS


def test_a_gauge_beside_a_counter_keeps_its_energy_as_means() -> None:
    gpu = Device("GPU-1", Kind.GPU)
    energy = Channel(gpu, "board", "energy_joules", refresh_seconds=0.1)
    both = Layout(3, "nvml", (energy, Channel(gpu, "board", "power_watts", refresh_seconds=0.1)))
    joules, ticks, chance = 0.0, [], random.Random(3)
    for beat in range(20_000):
        watts = chance.choice((50.0, 300.0))
        joules += watts * BEAT_NS / 1e9
        ticks.append(Tick(3, beat * BEAT_NS, beat * BEAT_NS, (joules, watts)))
    thinned = Thinned([both])
    thinned.take(ticks)
    assert len(thinned.ticks) < len(ticks) / 2
    (reading,) = measure(series_of([both], thinned.ticks), 1_000_000_000, 199_000_000_000).readings
    assert reading.disagreement == pytest.approx(0, abs=0.005)
