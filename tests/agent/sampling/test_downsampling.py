"""A measurement of a day fits into memory, and its energy is that of all its ticks."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from agent.energy.condensing import RAW_EDGE_NS
from agent.energy.measurement import Measurement, measure, series_of
from agent.energy.window import window_energy
from agent.sampling.downsampling import MAX_BREAK_TICKS, MAX_TICKS, Downsampler
from probes.model import Channel, Device, Kind, Reason, Rejection
from store.records import Layout, Series, Tick

BEAT_NS = 10_000_000
SECOND = 1_000_000_000
CARD = Device("card", Kind.GPU)
ENERGY = Layout(1, "rapl", (Channel(Device("package-0", Kind.CPU), "package", "energy_joules", refresh_seconds=0.001),))
MOMENTS = Channel(CARD, "board", "power_watts", method="instant", refresh_seconds=0.1, max_plausible=4 * 400.0)
AVERAGES = Channel(
    CARD,
    "board",
    "power_watts",
    method="average",
    refresh_seconds=0.1,
    observed_refresh_seconds=0.01,
    resolution=0.001,
    max_plausible=4 * 400.0,
)


def counted(seconds: float, rejected: dict[int, Reason] | None = None) -> list[Tick]:
    """Return ticks of a counter at about 100 W; those in `rejected` have no value."""
    joules, ticks, chance = 0.0, [], random.Random(1)
    for beat in range(round(seconds * 1e9 / BEAT_NS)):
        joules += chance.uniform(0.5, 1.5)
        at_ns, reason = beat * BEAT_NS, (rejected or {}).get(beat)
        refused = (Rejection(0, reason),) if reason else ()
        ticks.append(Tick(1, at_ns, at_ns + 1000, (math.nan if reason else joules,), refused))
    return ticks


def gauged(seconds: float, period_ns: int = BEAT_NS) -> list[Tick]:
    """Return ticks of a gauge that shows the mean of the last ten of some powers."""
    chance = random.Random(2)
    moments = range(0, round(seconds * 1e9), period_ns)
    powers = [chance.uniform(50, 350) for _ in range(len(moments) + 9)]
    means = [sum(powers[at : at + 10]) / 10 for at in range(len(moments))]
    return [Tick(2, at_ns, at_ns + 1000, (watts,)) for at_ns, watts in zip(moments, means, strict=True)]


def downsampled(layouts: list[Layout], ticks: list[Tick]) -> Downsampler:
    downsampler = Downsampler(layouts)
    for start in range(0, len(ticks), 97):
        downsampler.take(ticks[start : start + 97])
    return downsampler


def samples(downsampler: Downsampler) -> int:
    return sum(len(series.times_ns) for series in downsampler.series)


def both(layouts: list[Layout], ticks: list[Tick], *ends: int) -> tuple[Measurement, Measurement]:
    """Return the measurements from downsampled ticks and from all ticks."""
    return measure(downsampled(layouts, ticks).series, *ends), measure(series_of(layouts, ticks), *ends)


@pytest.mark.system
@pytest.mark.parametrize("rejected", [{}, {9000: Reason.RESET, 12_345: Reason.READ_ERROR, 12_346: Reason.READ_ERROR}])
def test_a_downsampled_counter_has_the_energy_of_all_its_ticks(rejected: dict[int, Reason]) -> None:
    ticks = counted(200, rejected)
    downsampler = downsampled([ENERGY], ticks)
    assert samples(downsampler) < len(ticks) / 2
    (series,) = downsampler.series
    assert list(series.times_ns) == sorted(series.times_ns)
    kept, whole = both([ENERGY], ticks, 1_234_567_890, 198_765_432_100)
    assert kept.total is not None
    assert whole.total is not None
    for name in ("joules", "lower"):
        assert getattr(kept.total, name) == pytest.approx(getattr(whole.total, name), rel=1e-3 if rejected else 1e-12)
    assert kept.readings[0].reasons == whole.readings[0].reasons


@pytest.mark.system
@pytest.mark.parametrize("channel", [MOMENTS, AVERAGES], ids=["moments", "averages"])
@pytest.mark.parametrize("seconds", [20, 59, 61, 150, 151, 400.5])
def test_a_downsampled_gauge_has_the_energy_of_all_its_ticks_and_no_narrower_bound(
    channel: Channel, seconds: float
) -> None:
    layout = Layout(2, "hwmon", (channel,))
    kept, whole = both([layout], gauged(seconds), 1_234_567_890, round(seconds * SECOND) - 1_765_432_100)
    assert kept.total is not None
    assert whole.total is not None
    assert kept.total.joules == pytest.approx(whole.total.joules, rel=1e-9)
    assert kept.total.lower <= whole.total.lower * (1 + 1e-9)
    assert kept.total.upper >= whole.total.upper * (1 - 1e-9)
    assert kept.total.upper - kept.total.lower <= 1.1 * (whole.total.upper - whole.total.lower)
    (mine,), (its,) = kept.readings, whole.readings
    assert (mine.peak_watts, mine.largest_gap_seconds) == (its.peak_watts, pytest.approx(its.largest_gap_seconds))
    assert abs(mine.samples - its.samples) <= seconds / 60 + 2


@pytest.mark.system
def test_memory_does_not_grow_with_the_length_of_a_measurement() -> None:
    power, both_ways = Layout(2, "hwmon", (AVERAGES,)), Layout(3, "nvml", (ENERGY.channels[0], MOMENTS))
    lengths = [1, 2]
    for layout, ticks in (
        (power, lambda length: gauged(length * 900, 50_000_000)),
        (ENERGY, lambda length: counted(length * 300)),
    ):
        kept = [samples(downsampled([layout], ticks(length))) for length in lengths]
        assert kept[1] < 1.2 * kept[0] + 700
    joules = 0.0
    downsampler = Downsampler([both_ways])
    for second in range(100_000):
        joules += 100
        downsampler.take([Tick(3, second * SECOND, second * SECOND, (joules, 100.0))])
    energy, watts = downsampler.series
    assert len(energy.times_ns) <= MAX_TICKS
    assert len(watts.times_ns) + len(watts.segments) < 700
    for series in (energy, watts):
        found = window_energy(series, 10 * SECOND, 99_990 * SECOND).energy
        assert found is not None
        assert found.joules == pytest.approx(99_980 * 100, rel=1e-6)


def test_endless_rejections_do_not_fill_the_memory() -> None:
    layout = Layout(3, "nvml", (ENERGY.channels[0], MOMENTS))
    refused = (Rejection(0, Reason.SENTINEL), Rejection(1, Reason.IMPOSSIBLE))
    downsampler = Downsampler([layout])
    for beat in range(50_000):
        downsampler.take([Tick(3, beat * BEAT_NS, beat * BEAT_NS, (math.nan, math.nan), refused)])
    assert sum(len(series.rejections) for series in downsampler.series) < 10_000
    assert [window_energy(series, SECOND, 2 * SECOND).energy for series in downsampler.series] == [None, None]


@pytest.mark.system
@pytest.mark.parametrize("counters", [1, 2])
def test_endless_steps_back_do_not_fill_the_memory(counters: int) -> None:
    """Every second read steps back, of two counters in turn: all of the time is doubtful, downsampled or not."""
    channels = tuple(replace(ENERGY.channels[0], domain=f"part {n}", max_plausible=4 * 100.0) for n in range(counters))
    layout, ticks = Layout(1, "rapl", channels), []
    for beat in range(60_000):
        back = beat // 2 % counters if beat % 2 and beat != 30_001 else -1
        cut = (Rejection(0, Reason.RESET),) if beat == 30_001 else ()
        values = tuple(math.nan if n == back or (cut and not n) else 0.5 * beat for n in range(counters))
        refused = (Rejection(back, Reason.BACKWARD),) if back >= 0 else cut
        ticks.append(Tick(1, beat * BEAT_NS, beat * BEAT_NS + 1000, values, refused))
    downsampler = downsampled([layout], ticks)
    recent = 3 * RAW_EDGE_NS // BEAT_NS
    for series, whole in zip(downsampler.series, series_of([layout], ticks), strict=True):
        assert len(series.times_ns) + len(series.rejections) < 2 * MAX_BREAK_TICKS + recent < len(ticks)
        assert (series.times_ns[0], series.times_ns[-1]) == (whole.times_ns[0], whole.times_ns[-1])
        assert sum(reason is Reason.RESET for _, reason in series.rejections) == (series.channel == channels[0])
        found, exact = (window_energy(each, 10 * SECOND, 590 * SECOND).energy for each in (series, whole))
        assert found is not None
        assert exact is not None
        assert found.lower == pytest.approx(exact.lower, rel=1e-3)
        assert exact.upper * (1 - 1e-3) <= found.upper <= (580 * 50 + 580 * 125) * 1.01


def test_occasional_steps_back_add_no_doubt_to_that_of_all_ticks() -> None:
    ticks = counted(200, dict.fromkeys(range(4000, 15_000, 500), Reason.BACKWARD))
    kept, whole = both([ENERGY], ticks, 1_234_567_890, 198_765_432_100)
    assert kept.total is not None
    assert whole.total is not None
    assert kept.total.upper == pytest.approx(whole.total.upper, rel=1e-12)


def test_a_gauge_beside_a_counter_keeps_its_energy() -> None:
    energy = Channel(CARD, "board", "energy_joules", refresh_seconds=0.1)
    layout = Layout(3, "nvml", (energy, MOMENTS))
    joules, ticks, chance = 0.0, [], random.Random(3)
    for beat in range(20_000):
        watts = chance.choice((50.0, 300.0))
        joules += watts * BEAT_NS / 1e9
        ticks.append(Tick(3, beat * BEAT_NS, beat * BEAT_NS, (joules, watts)))
    (reading,) = measure(downsampled([layout], ticks).series, SECOND, 199 * SECOND).readings
    assert reading.disagreement == pytest.approx(0, abs=0.005)


def test_a_gauge_with_a_long_gap_is_bounded_by_the_ceiling_in_the_gap() -> None:
    layout = Layout(2, "hwmon", (MOMENTS,))
    ticks = [
        tick._replace(values=(math.nan,)) if 100 * SECOND < tick.start_ns < 300 * SECOND else tick
        for tick in gauged(500, 50_000_000)
    ]
    (reading,) = measure(downsampled([layout], ticks).series, 10 * SECOND, 490 * SECOND).readings
    assert reading.energy is not None
    assert (reading.energy.lower, reading.energy.upper) == (0, pytest.approx(480 * 500, rel=0.001))
    assert reading.largest_gap_seconds >= 60
    assert 480 * 50 < reading.energy.joules < 480 * 350


def test_a_window_that_starts_within_integrated_samples_has_no_energy() -> None:
    (series,) = downsampled([Layout(2, "hwmon", (MOMENTS,))], gauged(300, 50_000_000)).series
    found = window_energy(series, 100 * SECOND, 290 * SECOND)
    assert found.energy is None
    assert "summed up" in found.reasons[0]
    assert window_energy(series, 2 * SECOND, 20 * SECOND).energy is not None


def test_a_gauge_that_worked_only_in_the_middle_is_not_a_dead_sensor() -> None:
    ticks = [
        tick if 60 * SECOND < tick.start_ns < 200 * SECOND else tick._replace(values=(0.0,))
        for tick in gauged(400, 50_000_000)
    ]
    measured = measure(downsampled([Layout(2, "hwmon", (MOMENTS,))], ticks).series, 10 * SECOND, 390 * SECOND)
    assert measured.coverage.includes == (MOMENTS,)


def test_a_gauge_without_samples_is_an_empty_series() -> None:
    assert Downsampler([Layout(2, "hwmon", (MOMENTS,))]).series == (Series(MOMENTS, (), (), halves_ns=()),)
    assert RAW_EDGE_NS == 30 * SECOND
