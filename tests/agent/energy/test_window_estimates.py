"""The estimate of a window's energy is near the truth, and its bound is narrow, for bursts of power."""

from __future__ import annotations

from statistics import mean

import pytest

from simulated import (
    SECOND,
    Power,
    counter,
    held,
    joules_channel,
    partial_gauge,
    read_times,
    refreshes,
    two_reads,
    watts_channel,
)

SCENES = [
    # refresh, period, window in seconds: RAPL, a slow reader, NVML read once and five times a refresh
    (0.001, 0.01, 1.5),
    (0.001, 0.25, 3.0),
    (0.1, 0.1, 10.0),
    (0.1, 0.02, 1.5),
]


@pytest.mark.parametrize(("refresh", "period", "length"), SCENES)
def test_the_estimate_is_at_least_twice_as_near_the_truth_as_two_plain_reads(refresh, period, length):
    bursts = Power(((0.31, 40.0), (0.17, 300.0)) * 40)
    shifts = (0.0, 0.23, -0.31, 0.11, -0.07)
    read = read_times(period, length + 4, shifts)
    series = counter(bursts, refreshes(refresh, length + 4), read, 2.0**-14, joules_channel(refresh, 2.0**-14))
    errors, plain = [], []
    for number in range(60):
        start = SECOND + number * 13_777_777
        window = (start, start + round(length * SECOND) - number * 1_234_567)
        found, true = held(series, bursts, window)
        errors.append(abs(found.energy.joules / true - 1))
        plain.append(abs(two_reads(series, *window) / true - 1))
    assert mean(errors) < mean(plain) / 2


@pytest.mark.parametrize("seconds", [1.0, 0.3])
def test_an_average_read_on_time_has_a_bound_much_narrower_than_the_ceiling(seconds):
    bursts = Power(tuple((0.11 + 0.01 * (n % 7), 40.0 + 13 * (n * n % 19)) for n in range(400)))
    channel = watts_channel(seconds, "average", max_plausible=4 * 350.0, observed_refresh_seconds=0.1, resolution=0.001)
    series = partial_gauge(
        bursts, refreshes(0.1, 40, (1.0, 0.95, 0.9)), read_times(0.01, 40), ((seconds, seconds),), channel, 0.001
    )
    found, true = held(series, bursts, (round(5.1 * SECOND), round(30.2 * SECOND)))
    assert found.energy.upper - found.energy.lower < 0.25 * true
    assert abs(found.energy.joules - true) < 0.02 * true
