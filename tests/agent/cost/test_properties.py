"""Properties of costs for every tariff and every point: order, sums and growth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.cost.interval import Interval
from agent.cost.lines import capital_recovery_factor, total
from agent.cost.model import BasisCost, PointCost, price_point
from agent.cost.tariff import Tariff

positive = st.floats(min_value=1e-3, max_value=1e6)
shares = st.floats(min_value=0, max_value=1)
utilizations = st.floats(min_value=1e-3, max_value=1)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    mean = draw(positive)
    return Interval(mean, mean * (1 - draw(st.floats(0, 0.99))), mean * (1 + draw(st.floats(0, 3))))


points = st.builds(
    PointCost,
    energy_joules=intervals(),
    throughput=intervals(),
    idle_watts=positive.map(Interval.exact),
    input_tokens=positive,
    output_tokens=positive,
)
tariffs = st.builds(
    Tariff,
    price_per_kwh=positive,
    pue=st.floats(1, 3),
    capital=positive,
    life_years=st.floats(0.5, 20),
    residual_share=shares,
    discount_rate=shares,
    maintenance_share=shares,
    licences_per_year=positive,
    facility_per_kw_month=positive,
    provisioned_watts=positive,
    utilization=utilizations,
    staff_per_year=positive,
    demand_charge_per_kw_month=positive,
    wall_factor=st.floats(1, 2),
    embodied_kg_co2e=positive,
    carbon_intensity_g_per_kwh=positive,
)
PRICES = (
    *("price_per_kwh", "demand_charge_per_kw_month", "capital", "licences_per_year", "staff_per_year"),
    "facility_per_kw_month",
)
"""The fields of a tariff that are amounts of money."""


def mean(interval: Interval | None) -> float:
    assert interval is not None
    return interval.mean


def allocated(tariff: Tariff, point: PointCost) -> BasisCost:
    prices = price_point(tariff, point).allocation
    assert prices is not None
    return prices


def every_part(prices: BasisCost) -> list[Interval]:
    works = (prices.per_inference, prices.per_million_output_tokens, prices.per_million_total_tokens)
    found = [part for work in works if work for part in (work.energy, work.capital, work.total) if part]
    assert len(found) == 9
    return found


@given(st.floats(0.5, 20), shares)
def test_interest_never_makes_it_cheaper(life: float, rate: float) -> None:
    assert capital_recovery_factor(life, rate) >= 1 / life * (1 - 1e-12)


@given(tariffs, points)
def test_bounds_are_in_order_and_parts_add_up(tariff: Tariff, point: PointCost) -> None:
    for prices in (price_point(tariff, point).usage, allocated(tariff, point)):
        for part in every_part(prices):
            assert part.lower is not None
            assert part.upper is not None
            assert 0 <= part.lower <= part.mean <= part.upper
        parts = prices.per_inference
        assert mean(parts.energy) + mean(parts.capital) == mean(parts.total)


@given(tariffs, points)
def test_the_inferences_of_an_hour_cost_as_much_as_the_hour(tariff: Tariff, point: PointCost) -> None:
    prices = allocated(tariff, point)
    hourly_inferences = 3600 * point.throughput.mean * prices.utilization
    assert mean(prices.per_inference.total) * hourly_inferences == pytest.approx(prices.per_hour.total)


@given(tariffs, points)
def test_allocation_never_costs_less_than_utilization_of_all(tariff: Tariff, point: PointCost) -> None:
    usage, allocation = every_part(price_point(tariff, point).usage), every_part(allocated(tariff, point))
    assert all(more.mean >= less.mean for less, more in zip(usage, allocation, strict=True))


@given(tariffs, points)
def test_at_full_utilization_both_bases_are_the_same(tariff: Tariff, point: PointCost) -> None:
    cost = price_point(structs.replace(tariff, utilization=1.0), point)
    assert cost.allocation == cost.usage


@given(tariffs, points, st.floats(0.1, 10))
def test_the_energy_part_grows_with_the_price_and_nothing_else_does(
    tariff: Tariff, point: PointCost, factor: float
) -> None:
    assert tariff.price_per_kwh is not None
    assert tariff.demand_charge_per_kw_month is not None
    before = allocated(tariff, point).per_inference
    dearer = structs.replace(
        tariff,
        price_per_kwh=tariff.price_per_kwh * factor,
        demand_charge_per_kw_month=tariff.demand_charge_per_kw_month * factor,
    )
    after = allocated(dearer, point).per_inference
    assert mean(after.energy) == pytest.approx(mean(before.energy) * factor)
    assert after.capital == before.capital


@given(tariffs, points, st.floats(0.1, 10))
def test_in_units_of_another_size_every_cost_has_another_number_and_carbon_has_the_same(
    tariff: Tariff, point: PointCost, factor: float
) -> None:
    scaled = structs.replace(tariff, **{name: getattr(tariff, name) * factor for name in PRICES})
    before, after = price_point(tariff, point), price_point(scaled, point)
    for one, other in ((before.usage, after.usage), (allocated(tariff, point), allocated(scaled, point))):
        for less, more in zip(every_part(one), every_part(other), strict=True):
            assert more.mean == pytest.approx(less.mean * factor)
        assert other.carbon_grams_per_inference == one.carbon_grams_per_inference


@given(tariffs, points)
def test_the_name_of_a_currency_changes_no_amount(tariff: Tariff, point: PointCost) -> None:
    one, other = (price_point(structs.replace(tariff, currency=name), point) for name in ("EUR", "JPY"))
    assert (one.currency, other.currency) == ("EUR", "JPY")
    assert structs.replace(one, currency=None) == structs.replace(other, currency=None)


@given(tariffs, points, utilizations, utilizations)
def test_a_higher_utilization_never_makes_an_inference_dearer(
    tariff: Tariff, point: PointCost, one: float, other: float
) -> None:
    low, high = (structs.replace(tariff, utilization=each) for each in sorted((one, other)))
    dear, cheap = (mean(allocated(each, point).per_inference.total) for each in (low, high))
    assert cheap <= dear * (1 + 1e-9)


@given(tariffs, points)
def test_the_lines_of_an_hour_sum_to_it(tariff: Tariff, point: PointCost) -> None:
    for prices in (price_point(tariff, point).usage, allocated(tariff, point)):
        assert total(prices.per_hour.lines or ()) == pytest.approx(prices.per_hour.total)


@given(tariffs, points, st.floats(0.1, 10))
def test_the_capital_part_halves_when_the_rate_doubles(tariff: Tariff, point: PointCost, factor: float) -> None:
    faster = replace(point, throughput=point.throughput.times(factor))
    before, after = (price_point(tariff, each).usage.per_inference for each in (point, faster))
    assert mean(after.capital) == pytest.approx(mean(before.capital) / factor)
    assert mean(after.energy) == pytest.approx(mean(before.energy))
