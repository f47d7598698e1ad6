"""How fast probes are read while something is measured, and for how long after."""

from __future__ import annotations

import pytest

from agent.profiling.periods import run_period_seconds, trailing_seconds
from probes.model import Channel, Device, Kind

GPU = Device("GPU-a", Kind.GPU)


def channel(metric, refresh=0.0):
    return Channel(GPU, "board", metric, refresh_seconds=refresh)


@pytest.mark.parametrize(
    ("channels", "seconds"),
    [
        ([], 1.0),
        ([channel("temperature_celsius")], 1.0),
        ([channel("utilization_ratio", 1.0)], 0.1),
        ([channel("energy_joules", 0.001)], 0.01),
        ([channel("energy_joules", 0.1)], 0.1),
        ([channel("energy_joules")], 0.1),
        ([channel("energy_joules", 60.0)], 1.0),
        ([channel("power_watts", 0.1)], 0.05),
        ([channel("power_watts")], 0.1),
        ([channel("energy_joules", 0.1), channel("power_watts", 0.05), channel("frequency_hertz")], 0.025),
    ],
)
def test_a_counter_is_read_once_a_refresh_and_a_gauge_twice(channels, seconds):
    assert run_period_seconds(channels) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("channels", "seconds"),
    [
        ([channel("energy_joules", 0.1), channel("utilization_ratio", 1.0)], 0.1 + 0.2 + 0.02),
        ([channel("energy_joules", 0.1), channel("power_watts", 0.5)], 0.5 + 0.2 + 0.02),
        ([channel("power_watts")], 1.0 + 0.2 + 0.02),  # nothing is known of it, so a second is assumed
        ([channel("temperature_celsius", 9.0)], 0.2 + 0.02),
    ],
)
def test_reading_goes_on_until_every_sensor_of_energy_has_shown_the_end(channels, seconds):
    assert trailing_seconds(channels, 0.1) == pytest.approx(seconds)
