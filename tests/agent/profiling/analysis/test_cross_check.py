"""The preferred one of two sensors of a domain, and the reason; test_points.py has the comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.profiling.analysis.cross_check import cross_check
from agent.profiling.analysis.metrics import sensor_windows
from simulated import constant
from store.records import Series
from synthetic_run import PACKAGE, energies, read, repeats

POINT = [(each,) for each in repeats((2, 4, 6, 8))]
GAUGE = replace(PACKAGE, metric="power_watts", refresh_seconds=0.05)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"method": "instant"}, "shows single moments"),
        ({"method": "average"}, "averages over the time before each reading"),
        ({"method": "average", "aliased": True}, "25 of 100 ms"),
    ],
)
def test_the_counter_is_preferred_because_of_the_time_that_the_gauge_misses(known, words):
    times = tuple(number * 50_000_000 for number in range(200))
    gauge = Series(replace(GAUGE, **known), times, (50.0,) * len(times))
    counted = sensor_windows(POINT, energies(read(PACKAGE, constant(100.0), 10)))
    (reported,) = cross_check(counted, sensor_windows(POINT, energies(gauge)))
    assert reported.relative_difference == pytest.approx(-0.5)
    assert reported.preferred == "counter"
    assert reported.reason.startswith("a counter misses nothing")
    assert words in reported.reason
