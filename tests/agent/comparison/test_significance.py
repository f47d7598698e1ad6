"""The ratio of groups of runs: against published and library values, its bounds, and Holm's correction."""

from __future__ import annotations

import math
import random
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtr, stdtrit

from agent.comparison.significance import (
    CANCELLED,
    Bounds,
    Ratio,
    holm,
    is_significant,
    single_ratio,
    welch_ratio,
)
from agent.cost.interval import Interval
from agent.energy.student import t_beyond

SLOW = (10.0, 10.4, 9.8)
FAST = (5.0, 5.1, 4.9, 5.2)
values = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=6)


@given(values, values)
def test_the_interval_contains_that_of_welch_and_the_p_value_is_not_below_its_own(one, other) -> None:
    logs = [[math.log(each) for each in group] for group in (one, other)]
    if any(max(group) - min(group) < 1e-6 for group in logs):
        return
    parts = [variance(group) / len(group) for group in logs]
    degrees = sum(parts) ** 2 / sum(part**2 / (len(group) - 1) for part, group in zip(parts, logs, strict=True))
    difference, error = fmean(logs[0]) - fmean(logs[1]), math.sqrt(sum(parts))
    half = stdtrit(degrees, 0.975) * error
    found = welch_ratio(one, other)
    assert found.ratio == pytest.approx(math.exp(difference))
    assert found.lower <= math.exp(difference - half) * (1 + 1e-6)
    assert found.upper >= math.exp(difference + half) * (1 - 1e-6)
    assert found.p >= 2 * stdtr(degrees, -abs(difference) / error) - 1e-6


@given(st.floats(-50, 50), st.integers(1, 400))
def test_the_two_sided_p_value_is_that_of_scipy(t, degrees) -> None:
    assert t_beyond(t, degrees) == pytest.approx(2 * stdtr(degrees, -abs(t)), abs=1e-9)


@given(values, values)
def test_the_ratio_of_the_swapped_groups_is_the_inverse(one, other) -> None:
    found, swapped = welch_ratio(one, other), welch_ratio(other, one)
    assert found.ratio == pytest.approx(1 / swapped.ratio)
    assert found.lower == pytest.approx(1 / swapped.upper)
    assert found.p == pytest.approx(swapped.p)


def test_equal_runs_have_an_exact_ratio() -> None:
    assert welch_ratio((2.0, 2.0), (1.0, 1.0)) == Ratio(pytest.approx(2), pytest.approx(2), pytest.approx(2), 0.0)
    assert welch_ratio((1.0, 1.0), (1.0, 1.0)).p == 1


def test_the_bounds_of_other_sensors_widen_the_interval_and_can_explain_a_difference() -> None:
    found = welch_ratio(FAST, SLOW)
    wide = welch_ratio(FAST, SLOW, Bounds(0.1, 0.2), Bounds(0.05, 0.1))
    assert wide.lower == pytest.approx(found.lower * 0.9 / 1.1)
    assert wide.upper == pytest.approx(found.upper * 1.2 / 0.95)
    assert wide.p > found.p
    assert is_significant(wide, wide.p)
    lost = welch_ratio(FAST, SLOW, Bounds(0.6, 1.2), CANCELLED)
    assert lost.p == 1
    assert not is_significant(lost, lost.p)


def test_an_unbounded_sensor_leaves_that_side_open() -> None:
    assert welch_ratio(FAST, SLOW, Bounds(1.0, None)).lower is None
    open_both = welch_ratio(FAST, SLOW, Bounds(0, 0), Bounds(1.0, None))
    assert (open_both.lower, open_both.upper, open_both.p) == (None, None, 1)
    assert not is_significant(open_both, 0.0)


def test_a_ratio_above_one_is_significant_by_its_lower_bound() -> None:
    found = welch_ratio(SLOW, FAST)
    assert is_significant(found, 0.01)
    assert not is_significant(found, 0.05)
    assert not is_significant(Ratio(1.1, 0.9, 1.3, 0.01), 0.01)


def test_single_runs_have_a_ratio_without_a_p_value() -> None:
    found = single_ratio(Interval(2.0, 1.8, 2.2), Interval(1.0, 0.9, 1.1), CANCELLED, CANCELLED)
    assert (found.ratio, found.p) == (pytest.approx(2), None)
    assert found.lower == pytest.approx(2 * math.exp(-math.hypot(math.log(2 / 1.8), math.log(1.1))))
    assert single_ratio(Interval(2.0), Interval(1.0, 0.0, 1.0), CANCELLED, CANCELLED) == Ratio(2.0, None, None, None)


def test_values_and_runs_that_have_no_ratio_are_refused() -> None:
    with pytest.raises(ValueError, match="two runs"):
        welch_ratio((1.0,), (1.0, 2.0))
    with pytest.raises(ValueError, match="above 0"):
        welch_ratio((0.0, 1.0), (1.0, 2.0))
    with pytest.raises(ValueError, match="above 0"):
        single_ratio(Interval(0.0), Interval(1.0), CANCELLED, CANCELLED)
    with pytest.raises(ValueError, match="degree of freedom"):
        t_beyond(1.0, 0)


def test_holm_multiplies_the_smallest_p_value_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_equal_setups_rarely_differ_and_intervals_contain_the_true_ratio() -> None:
    """Four points and three runs a side: at most 5 % of the comparisons may call equal setups different."""
    source, alarms, contained, trials = random.Random(1), 0, 0, 300
    for _ in range(trials):
        groups = [[[math.exp(source.gauss(0, 0.05)) for _ in range(3)] for _ in range(2)] for _ in range(4)]
        found = [welch_ratio(one, other) for one, other in groups]
        contained += sum(each.lower <= 1 <= each.upper for each in found)
        corrected = holm([each.p for each in found])
        alarms += any(is_significant(each, p) for each, p in zip(found, corrected, strict=True))
    assert alarms <= 0.05 * trials
    assert contained >= 0.95 * 4 * trials
