"""Summaries of repeats, compared with printed tables and with properties that hold for any values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.profiling.analysis.statistics import Trend, percentile, summarize, summarize_latencies, trend
from agent.profiling.run_facts import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

amounts = st.floats(min_value=1e-3, max_value=1e6)
shares = st.floats(min_value=0, max_value=1)


def test_repeats_are_summarized_as_checked_by_hand() -> None:
    summary = summarize([10, 12, 14])
    assert (summary.count, summary.mean, summary.standard_deviation) == (3, 12, 2)
    assert summary.cv == pytest.approx(1 / 6)
    half = 4.3026527297 * 2 / math.sqrt(3)
    assert (summary.lower, summary.upper) == pytest.approx((12 - half, 12 + half))


def test_one_value_has_a_mean_and_no_spread() -> None:
    assert summarize([7.5]) == Summary(1, 7.5, None, None, None, None)


def test_a_mean_of_zero_has_a_deviation_and_no_coefficient_of_variation() -> None:
    summary = summarize([-1, 1])
    assert summary.mean == 0
    assert summary.standard_deviation == pytest.approx(math.sqrt(2))
    assert summary.cv is None


@given(st.lists(amounts, min_size=2, max_size=30))
def test_the_interval_contains_the_mean(values: list[float]) -> None:
    summary = summarize(values)
    assert summary.lower is not None
    assert summary.upper is not None
    assert summary.lower <= summary.mean <= summary.upper


@given(st.lists(amounts, min_size=2, max_size=30), st.floats(min_value=1e-3, max_value=1e3))
def test_scaling_the_values_scales_the_summary_and_leaves_the_coefficient(values: list[float], factor: float) -> None:
    summary, scaled = summarize(values), summarize([value * factor for value in values])
    assert scaled.mean == pytest.approx(summary.mean * factor)
    for name in ("standard_deviation", "lower", "upper"):
        expected = getattr(summary, name) * factor
        assert getattr(scaled, name) == pytest.approx(expected, rel=1e-6, abs=1e-9 * scaled.mean)
    assert scaled.cv == pytest.approx(summary.cv, rel=1e-6, abs=1e-9)


@given(st.lists(amounts, min_size=1, max_size=30), st.randoms())
def test_the_order_of_the_repeats_does_not_matter(values: list[float], dice: Random) -> None:
    shuffled = list(values)
    dice.shuffle(shuffled)
    assert summarize(shuffled).mean == summarize(values).mean
    assert summarize_latencies(shuffled) == summarize_latencies(values)


@pytest.mark.parametrize(
    ("q", "expected"), [(0, 1), (0.25, 1.75), (0.5, 2.5), (0.9, 3.7), (0.99, 3.97), (1, 4)], ids=str
)
def test_a_percentile_lies_between_order_statistics(q: float, expected: float) -> None:
    assert percentile([4, 1, 3, 2], q) == pytest.approx(expected)


def test_every_percentile_of_one_value_is_that_value() -> None:
    assert [percentile([2.5], q) for q in (0, 0.3, 1)] == [2.5, 2.5, 2.5]


@pytest.mark.parametrize("q", [-0.01, 1.01, 50, math.nan])
def test_a_percentile_outside_zero_to_one_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="not a share from 0 to 1"):
        percentile([1, 2], q)


@given(st.lists(amounts, min_size=1, max_size=30), shares, shares)
def test_a_percentile_never_falls_with_q_and_stays_within_the_values(values: list[float], a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert percentile(values, low) <= percentile(values, high) * (1 + 1e-12)
    assert min(values) <= percentile(values, low) <= max(values)


@given(st.lists(amounts, min_size=1, max_size=30))
def test_the_median_of_latencies_is_the_median(values: list[float]) -> None:
    ordered, middle = sorted(values), len(values) // 2
    median = ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    assert summarize_latencies(values).p50 == pytest.approx(median)


def test_latencies_are_summarized_by_their_percentiles() -> None:
    summary = summarize_latencies([float(value) for value in range(301)])
    assert (summary.count, summary.mean, summary.minimum, summary.maximum) == (301, 150, 0, 300)
    assert (summary.p50, summary.p90, summary.p95, summary.p99) == pytest.approx((150, 270, 285, 297))


@pytest.mark.parametrize(("fewest", "name"), [(29, "p90"), (59, "p95"), (299, "p99")])
def test_a_percentile_of_the_tail_needs_enough_latencies(fewest: int, name: str) -> None:
    assert getattr(summarize_latencies([1.0] * fewest), name) == 1
    assert getattr(summarize_latencies([1.0] * (fewest - 1)), name) is None
    assert summarize_latencies([1.0]).p50 == 1


def test_even_values_are_steady() -> None:
    found = trend([100, 101, 99, 100.5, 99.5, 100])
    assert found.steady is True
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_the_slope_and_its_interval_are_those_of_the_textbook() -> None:
    found = trend([1, 2, 2, 3])  # slope 0.6, s = sqrt(0.2 / 2), Sxx = 5, mean 2
    half = 4.3026527297 * math.sqrt(0.1 / 5) / 2
    assert found.slope == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((0.3 - half, 0.3 + half))


def test_a_clear_climb_is_not_steady() -> None:
    found = trend([100, 105, 110.5, 114.5, 120])
    assert found.steady is False
    assert found.slope == pytest.approx(0.0451, abs=1e-3)


def test_a_clear_fall_is_not_steady() -> None:
    assert trend([120, 115, 110, 105.5, 100]).steady is False


def test_a_certain_drift_below_the_tolerance_is_steady_and_above_it_is_not() -> None:
    values = [100, 100.1, 100.2, 100.3]
    found = trend(values)
    assert found.low is not None
    assert found.low > 0
    assert found.steady is True
    assert trend(values, tolerance=0.001).steady is False


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], Trend(None, None, None, None)),
        ([-1, 0, 1], Trend(None, None, None, None)),
        ([9, 11], Trend(0.2, None, None, None)),
    ],
    ids=["one value", "mean of zero", "two values"],
)
def test_too_few_values_are_neither_steady_nor_unsteady(values: list[float], expected: Trend) -> None:
    assert trend(values) == expected


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=20))
def test_a_reversed_series_has_the_opposite_slope(values: list[int]) -> None:
    onward, backward = trend(values), trend(values[::-1])
    assert onward.slope == pytest.approx(-(backward.slope or 0), abs=1e-12)
    assert onward.low == pytest.approx(-(backward.high or 0), abs=1e-9)


@pytest.mark.parametrize("describe", [summarize, summarize_latencies, trend, lambda values: percentile(values, 0.5)])
def test_no_values_are_refused(describe: Callable[[Sequence[float]], object]) -> None:
    with pytest.raises(ValueError, match="there are no values"):
        describe([])
    with pytest.raises(ValueError, match="not finite"):
        describe([1.0, math.nan])
