"""The rents of years grow with the demand, change with the price, and are discounted like the payments of owners."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cost.demand import Demand, Step, constant
from agent.cost.offers import Offer
from agent.cost.rent_years import rent_years
from agent.cost.rented import HOURS_PER_YEAR, Mix, RentedWork, rental, rented_work

DAY = Demand((Step(80_000, 2), Step(6400, 9)), "given")


def work(demand: Demand = DAY, change: float | None = None, **fields: float) -> RentedWork:
    offer = Offer(name="offer", price_change_per_year=change, **fields)
    return rented_work(rental(offer, Mix(output_tokens=100)), demand)


def test_the_rent_of_an_api_grows_with_the_demand_and_changes_with_its_price() -> None:
    found = rent_years(work(change=-0.2, price_per_million_output_tokens=5), 3, 0.5, 0.1)
    first = DAY.mean * 3600 * HOURS_PER_YEAR * 100 * 5 / 1e6
    assert found.payments == pytest.approx([first, first * 1.2, first * 1.44])
    assert found.total == pytest.approx(first * (1 + 1.2 + 1.44))
    assert found.net_present_value == pytest.approx(first * (1 / 1.1 + 1.2 / 1.21 + 1.44 / 1.331))
    assert found.offer == "offer"


def test_instances_stay_whole_as_the_demand_grows() -> None:
    found = rent_years(work(constant(3), price_per_hour=1, requests_per_second=2), 3, 1.0, 0.0)
    assert found.payments == pytest.approx([2 * HOURS_PER_YEAR, 3 * HOURS_PER_YEAR, 6 * HOURS_PER_YEAR])
    assert found.net_present_value == found.total


@given(st.floats(-0.5, 1), st.integers(1, 4))
def test_the_rents_are_those_of_the_grown_demand(growth: float, years: int) -> None:
    fields = {"price_per_hour": 1.0, "requests_per_second": 2.0, "billing_step_seconds": 1800.0, "load_seconds": 60.0}
    found = rent_years(work(**fields), years, growth, 0.0)
    grown = work(DAY.times((1 + growth) ** (years - 1)), **fields)
    assert found.payments[-1] == pytest.approx(grown.above(0.0).cost)
