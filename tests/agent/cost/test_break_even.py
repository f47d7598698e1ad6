"""A break-even load solves its equation, and lies where the cheaper side changes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cost.break_even import (
    Range,
    break_even_utilizations,
    cheaper_demands,
    owned_per_hour,
    payback_years,
    searched_demand,
)
from agent.cost.hourly import HourlyModel
from agent.cost.offers import Offer
from agent.cost.rented import Mix, Rental, rental

WORKED = HourlyModel(
    (35_000 / 4 + 0.05 * 35_000) / 8760, 0.12, 1.54, ((0.0, 210.0), (1.0, 870.0)), 4890
)  # the worked example of docs/cost.md, in output tokens

positive = st.floats(0.01, 100)
models = st.builds(
    HourlyModel,
    fixed_per_hour=positive,
    price_per_kwh=st.floats(0, 2),
    overhead=st.floats(1, 2),
    curve=st.builds(
        lambda idle, middle, busy, place: ((0.0, idle), (place, middle), (1.0, busy)),
        *(st.floats(0, 2000), st.floats(0, 2000), st.floats(0, 2000), st.floats(0.1, 0.9)),
    ),
    capacity=positive,
)


def api(price: float) -> Rental:
    return rental(Offer(name="api", price_per_million_output_tokens=price * 1e6), Mix(output_tokens=1))


def instance(price: float, capacity: float) -> Rental:
    return rental(Offer(name="cloud", price_per_hour=price, requests_per_second=capacity), Mix())


def test_the_worked_example_breaks_even_by_the_formula() -> None:
    price = 0.60 / 1e6
    k = 0.12 * 1.54 / 1000
    expected = (WORKED.fixed_per_hour + k * 210) / (3600 * 4890 * price - k * (870 - 210))
    (found,) = break_even_utilizations(WORKED, price)
    assert found.low == pytest.approx(expected)
    assert found.low == pytest.approx(0.1185, abs=1e-4)
    assert found.high == 1


def test_a_price_below_the_energy_of_the_work_is_never_reached() -> None:
    assert break_even_utilizations(WORKED, 0.0) == ()
    assert break_even_utilizations(WORKED, 0.07 / 1e6) == ()  # below 0.077, the cost at full use
    assert cheaper_demands(WORKED, api(0.07 / 1e6), 4890) == ()


def test_a_power_curve_can_cross_a_price_twice() -> None:
    model = HourlyModel(0.1, 1.0, 1.0, ((0.0, 0.0), (0.5, 100.0), (1.0, 2000.0)), 1)
    price = 0.6 / 3600
    first, *others = break_even_utilizations(model, price)
    assert others == []
    assert (first.low, first.high) == (pytest.approx(0.25), pytest.approx(0.53125))


@given(models, positive)
def test_a_break_even_utilization_solves_its_equation(model: HourlyModel, price: float) -> None:
    price /= 3600
    for found in break_even_utilizations(model, price):
        for edge in (found.low, found.high):
            if 0 < edge < 1:
                assert model.per_unit(edge) == pytest.approx(price, rel=1e-6)
        if found.low < found.high:
            middle = (found.low + found.high) / 2
            assert model.per_unit(middle) <= price * (1 + 1e-9)


@given(models, positive)
def test_outside_the_ranges_the_offer_is_cheaper(model: HourlyModel, price: float) -> None:
    price /= 3600
    ranges = break_even_utilizations(model, price)
    for utilization in (each / 64 for each in range(1, 65)):
        if not any(found.low <= utilization <= found.high for found in ranges):
            assert model.per_unit(utilization) >= price * (1 - 1e-9)


@given(models, positive, st.floats(0.2, 3), st.booleans(), st.sampled_from([0.0, 0.2]))
def test_whole_machines_are_cheaper_exactly_in_the_ranges_of_demand(
    model: HourlyModel, price: float, ratio: float, is_api: bool, headroom: float
) -> None:
    offer = api(price / 3600) if is_api else instance(price, model.capacity * ratio)
    usable = model.capacity * (1 - headroom)
    ranges = cheaper_demands(model, offer, usable)
    for step in range(1, 60):
        rate = step * 0.137 * model.capacity
        own = owned_per_hour(model, rate, math.ceil(rate / usable))
        rented = price * (rate if is_api else math.ceil(rate / (model.capacity * ratio)))
        if abs(own - rented) > 1e-6 * own:
            assert any(found.low <= rate <= found.high for found in ranges) == (own < rented)


def test_whole_machines_give_several_ranges() -> None:
    model = HourlyModel(1.0, 0.0, 1.0, ((0.0, 0.0), (1.0, 0.0)), 10)
    ranges = cheaper_demands(model, api(1 / (3600 * 6)), 10)  # a machine pays from 6 requests/s on
    assert ranges[:2] == (Range(pytest.approx(6), 10), Range(pytest.approx(12), 500))
    assert searched_demand(api(1), 10) == 500


def test_rented_instances_are_whole_too() -> None:
    model = HourlyModel(1.6, 0.0, 1.0, ((0.0, 0.0), (1.0, 0.0)), 10)
    ranges = cheaper_demands(model, instance(1.0, 5.0), 10)
    assert ranges == (Range(5, 10), Range(15, 500))
    assert searched_demand(instance(1.0, 0.001), 10) == 2


def test_coinciding_edges_of_machines_and_instances_split_no_range() -> None:
    model = HourlyModel(0.9, 0.0, 1.0, ((0.0, 0.0), (1.0, 0.0)), 0.3)
    found = cheaper_demands(model, instance(0.31, 0.1), 0.3)  # three instances for each machine
    assert len(found) == 20
    assert all(each.high - each.low > 0.09 for each in found)


@pytest.mark.parametrize(
    ("investment", "rent", "running", "life", "change", "years"),
    [
        (1000, 600, 100, 4, 0, 2),
        (1000, 350, 100, 4, 0, 4),
        (1000, 350, 101, 4, 0, None),
        (1000, 100, 200, 4, 0, None),
        (0, 100, 200, 4, 0, 0),
        (1000, 600, 100, 4, -0.5, None),
        (700, 600, 100, 2.5, -0.5, 2),
        (1000, 500, 0, 2.5, -0.2, 2 + 100 / 320),
        (1000, 500, 0, 2.5, 0.2, 1 + 500 / 600),
    ],
)
def test_the_payback_time_is_the_one_at_which_the_saved_rent_reaches_the_investment(
    investment: float, rent: float, running: float, life: float, change: float, years: float | None
) -> None:
    found = payback_years(investment, rent, running, life, change)
    assert found == (None if years is None else pytest.approx(years))
