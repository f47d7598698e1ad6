"""Inputs are in the order of their influence, and the worst case has every range at its worse end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cost.interval import Interval
from agent.cost.model import PointCost, price_point
from agent.cost.sensitivity import influences, worst_case
from agent.cost.tariff import Tariff
from agent.cost.tariff_file import read_tariff

POINT = PointCost(Interval(20.0, 18.0, 22.0), Interval(40.0, 39.0, 41.0), Interval(200.0, 190.0, 210.0), 300, 100)
VALUES = {"price_per_kwh": 0.25, "capital": 10_000, "utilization": 0.3, "pue": 1.05, "life_years": 5}


def allocated(cost):
    return cost.allocation.per_inference.total if cost.allocation else None


def by_name(tariff, point=POINT):
    return {each.name: each for each in influences(tariff, point, allocated)}


def test_the_input_with_the_largest_swing_is_first():
    found = influences(read_tariff(VALUES), POINT, allocated)
    swings = [each.swing for each in found]
    assert swings == sorted(swings, reverse=True)
    assert found[0].name == "utilization"
    assert {each.name for each in found} == {*VALUES, "energy_joules", "throughput", "idle_watts"}


def test_an_input_varies_over_its_range_or_its_bounds_or_a_tenth():
    found = by_name(read_tariff({**VALUES, "range": {"price_per_kwh": [0.2, 0.5]}}))
    ends = {name: (each.low, each.high, each.basis) for name, each in found.items()}
    assert ends["price_per_kwh"] == (0.2, 0.5, "range")
    assert ends["throughput"] == (39, 41, "measured")
    assert ends["capital"] == (pytest.approx(9000), pytest.approx(11_000), "ten_percent")
    assert ends["pue"][0] == 1  # 10 % less is not possible


def test_the_costs_at_both_ends_are_those_of_a_tariff_with_that_value():
    tariff = read_tariff(VALUES)
    found = by_name(tariff)["capital"]
    assert found.cost_at_low == allocated(price_point(tariff.with_values({"capital": found.low}), POINT)).mean
    assert found.cost_at_high == allocated(price_point(tariff.with_values({"capital": found.high}), POINT)).mean


def test_an_input_without_bounds_or_without_influence_is_left_out():
    blunt = replace(POINT, throughput=Interval(40.0, -1.0, 80.0), energy_joules=Interval(20.0))
    found = by_name(read_tariff({**VALUES, "headroom": 0.3, "spares": 1, "residual_share": 0}), blunt)
    assert not {"throughput", "energy_joules", "headroom", "spares", "residual_share"} & found.keys()
    assert influences(Tariff(), POINT, allocated) == ()


def test_the_worst_case_joins_the_worse_ends_of_all_ranges_and_bounds():
    tariff = read_tariff({**VALUES, "range": {"utilization": [0.2, 0.4], "price_per_kwh": [0.2, 0.3]}})
    found = worst_case(tariff, POINT, allocated)
    cheap = allocated(price_point(tariff.with_values({"utilization": 0.4, "price_per_kwh": 0.2}), POINT))
    dear = allocated(price_point(tariff.with_values({"utilization": 0.2, "price_per_kwh": 0.3}), POINT))
    assert (found.lower, found.upper) == (cheap.lower, dear.upper)
    assert found.mean == allocated(price_point(tariff, POINT)).mean
    assert worst_case(Tariff(), POINT, allocated) is None


def test_a_value_that_a_tenth_makes_invalid_is_left_out():
    tariff = read_tariff({**VALUES, "spares": 3, "rack_watts": 100})
    assert "spares" not in by_name(tariff)


def test_a_range_around_a_value_of_0_counts_in_the_worst_case():
    values = {**VALUES, "discount_rate": 0, "range": {"discount_rate": [0, 0.1]}}
    found = worst_case(read_tariff(values), POINT, allocated)
    dear = price_point(read_tariff({**VALUES, "discount_rate": 0.1}), POINT)
    assert found.upper == allocated(dear).upper
