"""An error bar keeps its order through sums and products, and a side nobody knows stays unknown."""

from __future__ import annotations

import math

import pytest

from agent.cost.interval import Interval


def test_a_product_scales_the_mean_and_its_bounds() -> None:
    assert Interval(2, 1, 4).times(3) == Interval(6, 3, 12)


def test_a_sum_has_the_bounds_of_the_worst_case() -> None:
    assert Interval(2, 1, 4).plus(Interval(10, 9, 12)) == Interval(12, 10, 16)


def test_an_unknown_side_stays_unknown() -> None:
    assert Interval(2, None, 4).times(2) == Interval(4, None, 8)
    assert Interval(2, None, 4).plus(Interval(3, 1, None)) == Interval(5, None, None)


def test_an_exact_number_is_its_own_bounds() -> None:
    assert Interval.exact(2) == Interval(2, 2, 2)


@pytest.mark.parametrize("bounds", [(math.nan, None, None), (1, math.nan, 2), (1, 0, math.inf)])
def test_an_interval_is_finite(bounds: tuple[float, float | None, float | None]) -> None:
    with pytest.raises(ValueError, match="not finite"):
        Interval(*bounds)


@pytest.mark.parametrize("bounds", [(1, 2, 3), (1, 0, 0.5), (1, 2, None), (1, None, 0)])
def test_an_interval_is_in_order(bounds: tuple[float, float | None, float | None]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        Interval(*bounds)


def test_a_shift_moves_all_three_and_stops_at_zero():
    assert Interval(2, 1, 4).shifted(3) == Interval(5, 4, 7)
    assert Interval(2, 1, 4).shifted(-1.5) == Interval(0.5, 0, 2.5)
    assert Interval(2).shifted(1) == Interval(3)
