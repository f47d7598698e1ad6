"""A line through uncertain points: exact for exact points, and bounds that contain the true line."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.energy.bounds import Energy
from agent.energy.line import Pair, fit_line


def exact(value):
    return Energy(value, value, value)


def uncertain(true, half, chance):
    read = true + chance.uniform(-half, half)
    return Energy(read, read - half, read + half)


def test_exact_points_give_the_exact_line():
    line = fit_line([Pair(exact(x), exact(20 + 1.25 * x)) for x in (50.0, 100.0, 200.0)])
    assert (line.slope.mean, line.offset.mean) == (pytest.approx(1.25), pytest.approx(20))
    assert line.slope.upper - line.slope.lower < 1e-9
    assert line.offset.upper - line.offset.lower < 1e-6
    assert line.deviation == pytest.approx(0, abs=1e-9)


def test_two_points_have_the_bounds_of_their_sensors_alone():
    line = fit_line([Pair(exact(100.0), Energy(110, 108, 112)), Pair(exact(200.0), Energy(220, 218, 222))])
    assert (line.slope.lower, line.slope.upper) == (pytest.approx(1.06), pytest.approx(1.14))
    assert line.deviation == 0


def test_points_of_one_load_have_no_line():
    assert fit_line([Pair(exact(100.0), exact(110.0)), Pair(exact(100.0), exact(111.0))]) is None


def test_bounds_wider_than_the_change_of_the_load_leave_the_slope_open():
    wide = Energy(110, 80, 140)
    assert fit_line([Pair(Energy(100, 60, 140), wide), Pair(Energy(120, 80, 160), wide)]) is None


def test_a_falling_line_has_bounds_in_order():
    pairs = [Pair(Energy(x, x - 2, x + 2), Energy(300 - x, 299 - x, 301 - x)) for x in (50.0, 100.0, 200.0)]
    line = fit_line(pairs)
    assert line.slope.lower < -1 < line.slope.upper < 0


@given(
    slope=st.floats(-3, 3),
    offset=st.floats(-50, 200),
    below=st.lists(st.integers(10, 500), min_size=2, max_size=12),
    halves=st.tuples(st.floats(0, 10), st.floats(0, 10)),
    seed=st.integers(0, 2**32),
)
def test_the_bounds_contain_the_true_line_for_any_errors_within_the_bounds_of_the_readings(
    slope, offset, below, halves, seed
):
    chance = random.Random(seed)
    pairs = [Pair(uncertain(x, halves[0], chance), uncertain(offset + slope * x, halves[1], chance)) for x in below]
    line = fit_line(pairs)
    if line is None:
        return
    small = 1e-6 * (1 + abs(slope) * max(below) + abs(offset))
    assert line.slope.lower - small <= slope <= line.slope.upper + small
    assert line.offset.lower - small * 1e3 <= offset <= line.offset.upper + small * 1e3


def test_the_interval_of_a_slope_covers_95_percent_of_noisy_lines():
    chance, covered, runs = random.Random(7), 0, 400
    for _ in range(runs):
        pairs = [Pair(exact(x), exact(30 + 1.2 * x + chance.gauss(0, 3))) for x in (20.0, 60.0, 100.0, 140.0, 180.0)]
        line = fit_line(pairs)
        covered += line.slope.lower <= 1.2 <= line.slope.upper
    assert 0.92 * runs <= covered <= 0.98 * runs
