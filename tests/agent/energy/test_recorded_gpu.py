"""The energy of windows over a real GPU: an NVIDIA H200 that idles, multiplies matrices at its power limit, and idles.

Its counter and its instant power were read every 24 ms. The counter refreshes every 100 ms.
"""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest

from agent.energy.window import window_energy
from probes.model import Channel, Device, Kind
from store.records import Series

COUNTER = Channel(
    Device("GPU-1", Kind.GPU),
    "board",
    "energy_joules",
    method="counter",
    refresh_seconds=0.1,
    observed_refresh_seconds=0.0999,
    resolution=0.001,
    max_plausible=2800.0,
)
READ_NS = 6_000_000


@pytest.fixture(scope="module")
def trace():
    """The times in nanoseconds, the counter in joules and the power in watts."""
    with (Path(__file__).parents[2] / "fixtures/nvml/h200.csv").open(encoding="utf-8") as file:
        rows = [[int(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    return [(1000 * at, energy / 1000, power / 1000) for at, energy, power in rows]


def true_joules(trace, start_ns, end_ns):
    """The energy between two moments, with the counter's new values taken to be of the moments they appeared."""
    steps = [(after[0], after[1]) for before, after in pairwise(trace) if after[1] != before[1]]

    def at(moment_ns):
        (from_ns, low), (to_ns, high) = next(pair for pair in pairwise(steps) if pair[0][0] <= moment_ns < pair[1][0])
        return low + (high - low) * (moment_ns - from_ns) / (to_ns - from_ns)

    return at(end_ns) - at(start_ns)


@pytest.mark.parametrize("every", [4, 8, 20])
@pytest.mark.parametrize(("start", "seconds"), [(1.0, 1.0), (4.0, 4.0), (7.03, 8.0), (1.5, 17.0), (12.0, 2.5)])
def test_a_window_contains_the_energy_of_a_counter_that_is_read_seldom(trace, every, start, seconds):
    start_ns, end_ns = round(start * 1e9), round((start + seconds) * 1e9)
    for phase in range(0, every, 3):
        read = trace[phase::every]
        times, values = tuple(at_ns for at_ns, _, _ in read), tuple(joules for _, joules, _ in read)
        series = Series(COUNTER, times, values, halves_ns=(READ_NS,) * len(read))
        found = window_energy(series, start_ns, end_ns).energy
        truth = true_joules(trace, start_ns, end_ns)
        assert found.lower <= truth <= found.upper
        assert found.joules == pytest.approx(truth, rel=0.02 + 0.1 / seconds)


def test_the_counter_agrees_with_the_instant_power(trace):
    """The GPU shows a quarter of the time in its power, which is enough while the power is steady."""
    joules = sum((one[2] + two[2]) / 2 * (two[0] - one[0]) / 1e9 for one, two in pairwise(trace))
    assert joules == pytest.approx(trace[-1][1] - trace[0][1], rel=0.01)
