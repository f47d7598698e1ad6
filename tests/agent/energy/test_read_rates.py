"""How fast probes are read while something is measured, and for how long after."""

from __future__ import annotations

import math

import pytest

from agent.energy.read_rates import (
    SLOWEST_SECONDS,
    high_rate_period_seconds,
    is_aliased,
    needed_seconds,
    periods_within,
    run_period_seconds,
    trailing_seconds,
)
from probes.model import Channel, Device, Kind, Source

GPU = Device("GPU-a", Kind.GPU)


def channel(metric, refresh=0.0, **known):
    return Channel(GPU, "board", metric, refresh_seconds=refresh, **known)


@pytest.mark.parametrize(
    ("channels", "seconds"),
    [
        ([], 1.0),
        ([channel("temperature_celsius")], 1.0),
        ([channel("utilization_ratio")], 0.1),
        ([channel("utilization_ratio", 0.01)], 0.1),
        ([channel("utilization_ratio", 0.5)], 0.5),
        ([channel("energy_joules", 0.001)], 0.01),
        ([channel("energy_joules", 0.1)], 0.02),
        ([channel("energy_joules", 0.1, observed_refresh_seconds=0.05)], 0.01),
        ([channel("energy_joules", 0.1, read_seconds=0.001)], 0.05),
        ([channel("power_watts", 0.1, read_seconds=0.5)], 1.0),
        ([channel("power_watts", observed_refresh_seconds=0.5)], 0.1),  # it may idle, and count in coarse steps
        ([channel("energy_joules", 0.001, observed_refresh_seconds=0.5)], 0.01),
        ([channel("energy_joules", observed_refresh_seconds=9.0)], 0.1),
        ([channel("energy_joules")], 0.1),
        ([channel("energy_joules", 60.0)], 1.0),
        ([channel("energy_joules", 0.01, source=Source.ESTIMATED)], 0.05),
        ([channel("power_watts", 0.01, source=Source.ESTIMATED)], 0.05),
        ([channel("power_watts", 0.1)], 0.05),
        ([channel("power_watts")], 0.1),
        ([channel("power_watts", 1.0, observed_refresh_seconds=0.1)], 0.05),
        ([channel("energy_joules", 0.2), channel("power_watts", 0.05), channel("frequency_hertz")], 0.02),
    ],
)
def test_a_counter_is_read_five_times_a_refresh_and_a_gauge_twice(channels, seconds):
    assert run_period_seconds(channels) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("channels", "seconds"),
    [
        ([channel("energy_joules", 0.1), channel("utilization_ratio", 1.0)], 0.1 + 0.2 + 0.02),
        ([channel("energy_joules", 0.1), channel("power_watts", 0.5)], 0.5 + 0.2 + 0.02),
        ([channel("energy_joules", 0.1, observed_refresh_seconds=0.2)], 1.5 * 0.2 + 0.2 + 0.02),
        ([channel("power_watts")], 1.0 + 0.2 + 0.02),  # nothing is known of it, so a second is assumed
        ([channel("temperature_celsius", 9.0)], 0.2 + 0.02),
    ],
)
def test_reading_continues_until_every_energy_sensor_has_shown_the_end(channels, seconds):
    assert trailing_seconds(channels, 0.1) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("channels", "seconds"),
    [
        ([], 0.0),
        ([channel("power_watts", 0.1)], 0.0),
        ([channel("energy_joules", 0.001)], 0.0005),
        ([channel("energy_joules", 0.1, observed_refresh_seconds=0.02)], 0.001),
        ([channel("energy_joules", 0.1)], 0.005),
        ([channel("energy_joules", 1.0)], 0.005),
        ([channel("energy_joules")], 0.005),
        ([channel("energy_joules", 0.001, read_seconds=0.001)], 0.005),
        ([channel("energy_joules", 0.1, read_seconds=0.0001)], 0.005),
        ([channel("energy_joules", 0.1, read_seconds=0.002)], 0.05),
        ([channel("energy_joules", 0.1), channel("energy_joules", 0.001)], 0.0005),
        ([channel("energy_joules", 0.01, source=Source.ESTIMATED)], 0.01),
        ([channel("energy_joules", 0.1), channel("energy_joules", 0.01, source=Source.ESTIMATED)], 0.005),
    ],
)
def test_around_an_edge_a_counter_is_read_twenty_times_a_refresh(channels, seconds):
    assert high_rate_period_seconds(channels) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("known", "period", "aliased"),
    [
        (channel("energy_joules", 0.1), 1.0, False),
        (channel("power_watts", 0.1), 0.05, False),
        (channel("power_watts", 0.1), 0.06, True),
        (channel("power_watts"), 1.0, False),  # nothing is known of it, so nothing is said
        (channel("power_watts", 1.0, method="average", observed_refresh_seconds=0.1), 1.0, False),
        (channel("power_watts", 1.0, method="average"), 1.1, True),
        (channel("power_watts", 0.1, aliased=True), 0.01, True),
    ],
)
def test_a_gauge_with_unobserved_time_is_aliased(known, period, aliased):
    assert is_aliased(known, period) is aliased


@pytest.mark.parametrize(
    ("known", "seconds"),
    [
        (channel("energy_joules", 0.001), 0.0015 / 0.05),
        (channel("energy_joules", 0.1), 0.105 / 0.05),
        (channel("energy_joules", 0.1, observed_refresh_seconds=0.02), 0.021 / 0.05),
        (channel("energy_joules"), 1.005 / 0.05),
        (channel("power_watts", 1.0, method="average", observed_refresh_seconds=0.02), 1 / 0.04),
        (
            channel("power_watts", 1.0, method="average", observed_refresh_seconds=0.1),
            math.inf,
        ),  # uncertain by one read
        (channel("power_watts", method="average"), math.inf),
        (channel("power_watts", 0.1), math.inf),
        (channel("power_watts", 0.1, source=Source.ESTIMATED), 2),
        (channel("power_watts", 0.1, aliased=True, method="average of 25 in 100 ms"), math.inf),
        (channel("energy_joules", 0.1, uncertainty=0.4), math.inf),
        (channel("energy_joules", 0.01, source=Source.ESTIMATED), 0.02 / 0.05),
        (channel("energy_joules", 0.1, uncertainty=0.03), 0.105 / 0.02),
    ],
)
def test_a_window_must_be_as_long_as_its_sensor_needs_for_the_tolerance(known, seconds):
    assert needed_seconds(known, 0.05) == pytest.approx(seconds)


def test_a_budget_slows_gauges_first_and_no_budget_slows_nothing():
    counter, gauge = (channel(metric, 0.1, read_seconds=0.0004) for metric in ("energy_joules", "power_watts"))
    bases = [[base for base, _ in periods_within([[counter], [gauge]], budget)] for budget in (0.0, 0.05, 0.03)]
    assert bases == [[0.02, 0.05], [0.02, 0.2], [0.05, 1.0]]


def test_a_budget_slows_the_fastest_gauges_and_ends_at_the_slowest_period():
    fast = [channel("power_watts", 0.02, read_seconds=0.0005)]
    slow = [channel("power_watts", 0.4, read_seconds=0.0005)]
    before, after, exhausted = (
        [base for base, _ in periods_within([fast, slow], budget)] for budget in (0.0, 0.02, 1e-6)
    )
    assert before[0] < after[0]
    assert before[1] == after[1]
    assert exhausted == [SLOWEST_SECONDS, SLOWEST_SECONDS]


def test_the_probe_whose_reads_take_the_most_cpu_time_is_slowed():
    """A read of the energy counter of an H200 keeps the CPU busy for 6 ms."""
    gpu = [channel("energy_joules", 0.1, read_seconds=0.006), channel("power_watts", 0.1, read_seconds=0.006)]
    estimate = [channel("energy_joules", 0.01, source=Source.ESTIMATED)]
    (assumed, _), (before, _) = periods_within([gpu, estimate], 0.05)
    (measured, _), (after, _) = periods_within([gpu, estimate], 0.02, [0.006, 0.0])
    assert assumed < measured
    assert before == after == 0.05


@pytest.mark.parametrize("refresh", [0.001, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("read", [0.00001, 0.0005, 0.002, 0.006])
def test_the_edges_of_short_windows_take_half_of_the_cpu_budget_at_most(refresh, read):
    """A read of the energy counter of an H200 in a virtual machine keeps a CPU busy for 2 to 6 ms."""
    period = high_rate_period_seconds([channel("energy_joules", refresh, read_seconds=read)])
    seconds_at_an_edge = 1.5 * refresh + refresh + 0.05
    assert read * seconds_at_an_edge / period / 0.75 <= 0.05 / 2
