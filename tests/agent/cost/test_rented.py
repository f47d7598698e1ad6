"""Rented work costs its tokens, or the billed hours of whole instances that follow the demand."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.cost.demand import Demand, Step, constant
from agent.cost.offers import Offer
from agent.cost.rented import HOURS_PER_YEAR, Mix, RentedWork, UnsuitableOfferError, rental, rented_work, whole

MIX = Mix(input_tokens=1000, cached_input_tokens=400, output_tokens=100)
HOUR = 3600
DAY = Demand(
    (Step(6 * HOUR, 0), Step(HOUR, 10), Step(HOUR / 2, 0), Step(HOUR, 4), Step(9.75 * HOUR, 1), Step(5.75 * HOUR, 0)),
    "given",
)


def api(**prices: float) -> Offer:
    return Offer(name="api", **{f"price_per_million_{name}_tokens": price for name, price in prices.items()})


def cloud(**fields: Any) -> Offer:
    values: dict[str, Any] = {"price_per_hour": 2.0, "requests_per_second": 4.0, **fields}
    return Offer(name="cloud", **values)


def work(offer: Offer, demand: Demand) -> RentedWork:
    return rented_work(rental(offer, MIX), demand)


def test_a_request_costs_its_uncached_cached_and_output_tokens() -> None:
    found = rental(api(input=2, cached_input=0.5, output=8), MIX)
    assert found.price_per_request == pytest.approx((600 * 2 + 400 * 0.5 + 100 * 8) / 1e6)
    assert found.at_full_use() == found.price_per_request


def test_cached_tokens_without_a_price_of_their_own_cost_as_much_as_others() -> None:
    assert rental(api(input=2, output=8), MIX).price_per_request == pytest.approx((1000 * 2 + 100 * 8) / 1e6)


def test_an_offer_without_a_price_of_the_tokens_of_the_profile_is_left_out() -> None:
    with pytest.raises(UnsuitableOfferError, match="offer api: price_per_million_output_tokens is not given"):
        rental(api(input=2), MIX)
    with pytest.raises(UnsuitableOfferError, match="offer api: it has prices of tokens, and the profile has no tokens"):
        rental(api(input=2), Mix())
    assert rental(api(input=2), Mix(input_tokens=500)).price_per_request == pytest.approx(1e-3)


def test_the_throughput_of_an_instance_may_be_in_output_tokens() -> None:
    offer = Offer(name="cloud", price_per_hour=3.6, output_tokens_per_second=200)
    assert rental(offer, MIX).capacity == 2
    assert rental(offer, MIX).at_full_use() == pytest.approx(3.6 / 3600 / 2)
    with pytest.raises(UnsuitableOfferError, match="offer cloud: its throughput is in output tokens"):
        rental(offer, Mix())


def test_an_instance_with_its_own_utilization_has_a_price_of_a_request() -> None:
    found = rental(cloud(utilization=0.5), MIX)
    assert found.price_per_request == found.at_full_use() == pytest.approx(2 / (3600 * 4 * 0.5))
    assert work(cloud(utilization=0.5), constant(8)).above(0).cost == pytest.approx(2 * 2 * 2 * HOURS_PER_YEAR)


def test_the_rent_of_a_constant_demand_is_that_of_whole_instances() -> None:
    year = work(cloud(), constant(9)).above(0)
    assert (year.instances, year.hours, year.cost) == (3, 3 * HOURS_PER_YEAR, 6 * HOURS_PER_YEAR)
    assert year.share == 1
    assert work(cloud(), constant(9)).above(1).instances == 2
    assert work(cloud(), constant(9)).above(9).cost == 0


def test_the_least_demand_rents_an_instance() -> None:
    year = work(cloud(), constant(2e-9)).above(0)
    assert (year.instances, year.cost) == (1, 2 * HOURS_PER_YEAR)


def test_an_api_is_paid_for_the_requests_above_the_owned_capacity() -> None:
    offer = api(output=10)
    rented = rented_work(rental(offer, Mix(output_tokens=100)), DAY).above(4)
    assert rented.cost == pytest.approx(6 * 3600 * 365 * 100 * 10 / 1e6)
    assert rented.share == pytest.approx(6 / (14 + 9.75))
    assert rented.hours is rented.instances is None


def test_a_day_is_billed_in_steps_with_the_time_to_load_the_model() -> None:
    peak = work(cloud(billing_step_seconds=1800, load_seconds=300), DAY).above(6)
    assert peak.hours == pytest.approx(1.5 * 365)  # an hour and the load: two hours less half an hour
    assert peak.instances == 1
    exact = work(cloud(billing_step_seconds=1, load_seconds=300), DAY).above(6)
    assert exact.hours == pytest.approx(3900 / 3600 * 365)


def test_an_instance_stays_rented_if_a_pause_is_paid_anyway() -> None:
    both = work(cloud(billing_step_seconds=3 * 3600), DAY).above(3.5)
    assert both.hours == pytest.approx((3 + 3) * 365)  # the second instance for the peak alone, the first for both
    seconds = rented_work(rental(cloud(billing_step_seconds=60), MIX), DAY)
    assert seconds.above(3.5).hours == pytest.approx(3 * 365)


def test_a_step_longer_than_the_day_is_rented_without_end() -> None:
    monthly = work(cloud(billing_step_seconds=730 * 3600), DAY).above(0)
    assert monthly.hours == 3 * HOURS_PER_YEAR


def test_a_span_over_midnight_is_one() -> None:
    demand = Demand((Step(3600, 5), Step(79_200, 0), Step(3600, 5)), "given")
    assert work(cloud(requests_per_second=5.0, billing_step_seconds=7200), demand).above(0).hours == 2 * 365


def test_a_rounding_error_rents_no_instance() -> None:
    assert [whole(3.0000000001), whole(3.1), whole(0.0), whole(3e9 + 1e-7)] == [3, 4, 0, 3_000_000_000]


lengths = st.lists(st.integers(1, 9), min_size=2, max_size=9)


@given(lengths, st.integers(1, 12), st.integers(0, 4))
@example([1, 4, 1, 1], 3, 0)
def test_the_billed_time_is_the_least_of_all_ways_to_join_spans(seconds: list[int], step: int, load: int) -> None:
    """The demand alternates; every choice of pauses in which the instance stays is tried."""
    rates = [(place + 1) % 2 for place in range(len(seconds))]
    steps = [*map(Step, seconds, rates), Step(1000, 0)]
    offer = cloud(requests_per_second=1.0, billing_step_seconds=step, load_seconds=load)
    spans, start = [], 0
    for length, rate in zip(seconds, rates, strict=True):
        spans += [(start, start + length)] * rate
        start += length
    least = math.inf
    for choice in range(2 ** (len(spans) - 1)):
        joined = [spans[0]]
        for place, (_, span) in enumerate(pairwise(spans)):
            joined[-1:] = [(joined[-1][0], span[1])] if choice >> place & 1 else [joined[-1], span]
        least = min(least, sum(math.ceil((end - begin + load) / step) * step for begin, end in joined))
    demand = Demand(tuple(steps), "given")
    billed = work(offer, demand).above(0).hours
    assert billed == pytest.approx(min(least, demand.seconds) / demand.seconds * HOURS_PER_YEAR)


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 50)), min_size=1, max_size=8).filter(
        lambda steps: max(rate for _, rate in steps) > 1e-6
    ),
    st.floats(0, 60),
)
def test_a_larger_owned_capacity_never_costs_more_rent(steps: list[tuple[int, float]], owned: float) -> None:
    demand = Demand(tuple(Step(*step) for step in steps), "given")
    rented = work(cloud(billing_step_seconds=600, load_seconds=60), demand)
    assert rented.above(owned).cost <= rented.above(owned / 2).cost + 1e-9
