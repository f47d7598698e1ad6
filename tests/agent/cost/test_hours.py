"""An hour of a machine costs what the formulas say, term by term."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.cost.interval import Interval
from agent.cost.lines import capital_per_hour, capital_recovery_factor
from agent.cost.model import PointCost, price_point
from agent.cost.tariff import Tariff


@pytest.mark.parametrize(
    ("life", "rate", "expected"),
    [(4, 0, 0.25), (1, 0.1, 1.1), (10, 0.05, 0.1295045750), (5, 1e-18, 0.2), (1e9, 0.05, 0.05), (1e-3, 5e-324, 1e3)],
)
def test_the_recovery_factor_is_that_of_the_textbook(life: float, rate: float, expected: float) -> None:
    assert capital_recovery_factor(life, rate) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("life", "rate"), [(0, 0.1), (-1, 0), (math.nan, 0), (4, -0.1), (4, math.nan)])
def test_a_life_of_zero_or_a_negative_rate_is_refused(life: float, rate: float) -> None:
    with pytest.raises(ValueError, match="cannot be written off"):
        capital_recovery_factor(life, rate)


def test_every_term_of_the_capital_hour_counts() -> None:
    tariff = Tariff(
        capital=10_000,
        life_years=5,
        residual_share=0.2,
        maintenance_share=0.1,
        licences_per_year=876,
        facility_per_kw_month=146,
        provisioned_watts=500,
    )
    assert capital_per_hour(tariff) == pytest.approx(1600 / 8760 + 1000 / 8760 + 0.1 + 0.1)


def test_the_interest_on_the_residual_is_due_until_the_machine_is_sold() -> None:
    # Bought for 10,000 at 8 % interest a year, sold for 2,000 after 5 years: 8,000 are written off at 0.250456 a year,
    # and 2,000 bear 160 a year.
    tariff = Tariff(capital=10_000, life_years=5, residual_share=0.2, discount_rate=0.08)
    assert capital_per_hour(tariff) == pytest.approx((2003.651637 + 160) / 8760)


@given(st.floats(0.5, 30), st.floats(1e-6, 1), st.floats(0, 1))
def test_the_yearly_capital_is_worth_the_cost_of_the_machine_less_its_residual(
    life: float, rate: float, residual: float
) -> None:
    tariff = Tariff(capital=1000, life_years=life, residual_share=residual, discount_rate=rate)
    hourly = capital_per_hour(tariff)
    assert hourly is not None
    present = hourly * 8760 * (1 - (1 + rate) ** -life) / rate + 1000 * residual * (1 + rate) ** -life
    assert present == pytest.approx(1000, rel=1e-6)


@given(st.floats(0.5, 30), st.floats(0, 1))
def test_without_interest_only_the_loss_of_value_is_paid(life: float, residual: float) -> None:
    tariff = Tariff(capital=1000, life_years=life, residual_share=residual)
    assert capital_per_hour(tariff) == pytest.approx(1000 * (1 - residual) / life / 8760)


@given(st.floats(0.5, 30), st.floats(0, 1))
def test_a_machine_without_loss_of_value_costs_its_interest(life: float, rate: float) -> None:
    tariff = Tariff(capital=1000, life_years=life, residual_share=1, discount_rate=rate)
    assert capital_per_hour(tariff) == pytest.approx(1000 * rate / 8760)


def test_licences_alone_give_no_capital_cost() -> None:
    assert capital_per_hour(Tariff(licences_per_year=876)) is None


@pytest.mark.parametrize(("utilization", "watts"), [(0, 100), (0.25, 150), (1, 300)])
def test_power_rises_from_idle_to_busy_with_utilization(utilization: float, watts: float) -> None:
    tariff = Tariff(price_per_kwh=0.5, pue=1.2)
    assert machine(300, 100).watts(utilization) == pytest.approx(watts)
    if utilization:
        hour = price_point(structs.replace(tariff, utilization=utilization), machine(300, 100)).allocation
        assert hour is not None
        assert hour.per_hour.energy == pytest.approx(0.5 * 1.2 * watts / 1000)


@pytest.mark.parametrize(("utilization", "watts"), [(0.125, 190), (0.25, 280), (0.5, 286.67), (1, 300)])
def test_power_follows_the_loads_that_were_measured(utilization: float, watts: float) -> None:
    point = replace(machine(300, 100), load_watts=((0.25, 280.0),))
    assert point.watts(utilization) == pytest.approx(watts, abs=0.01)
    tariff = Tariff(price_per_kwh=0.5, pue=1.2, capital=0, utilization=utilization)
    cost = price_point(tariff, point).allocation
    assert cost is not None
    assert cost.per_hour.energy == pytest.approx(0.5 * 1.2 * watts / 1000, abs=1e-5)
    assert cost.per_inference.energy is not None
    assert cost.per_inference.energy.mean * 3600 * utilization == pytest.approx(cost.per_hour.energy)


def test_without_idle_power_only_a_full_hour_has_a_price() -> None:
    tariff = Tariff(price_per_kwh=0.5, pue=1, utilization=0.5)
    cost = price_point(tariff, machine(300, None))
    assert cost.allocation is not None
    assert cost.usage.per_hour.energy == pytest.approx(0.15)
    assert cost.allocation.per_hour.energy is None
    assert machine(300, None).watts(0.5) is None


@pytest.mark.parametrize("loads", [((0.0, 1.0),), ((1.0, 1.0),), ((0.5, 1.0), (0.5, 2.0)), ((0.5, -1.0),)])
def test_an_impossible_load_is_refused(loads: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match=r"do not rise|it must be"):
        replace(machine(300, 100), load_watts=loads)


def machine(busy: float, idle: float | None) -> PointCost:
    """Return a machine that does one inference a second."""
    return PointCost(Interval.exact(busy), Interval.exact(1), None if idle is None else Interval.exact(idle))
