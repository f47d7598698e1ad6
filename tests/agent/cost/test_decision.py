"""The answer names the cheapest option, the price of the requirements, and each break-even load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cost.break_even import Range
from agent.cost.decision import Decision, decide
from agent.cost.demand import Demand, Step, constant
from agent.cost.hourly import HourlyModel
from agent.cost.hybrid import Machine
from agent.cost.limits import TariffError
from agent.cost.offers import Offer
from agent.cost.rented import Mix
from agent.cost.requirements import Requirements

MODEL = HourlyModel(1.0, 0.0, 1.0, ((0.0, 200.0), (1.0, 800.0)), 10)
MACHINE = Machine(MODEL, capital=30_000, recovery_per_year=7500, life_years=4)
MIX = Mix(input_tokens=300, output_tokens=100)
API = Offer(name="api", price_per_million_output_tokens=0.6, price_per_million_input_tokens=0.1, region="US")
CLOUD = Offer(name="cloud", price_per_hour=2.0, requests_per_second=10, region="EU", data_leaves_premises=True)
DAY = Demand((Step(22 * 3600, 9), Step(2 * 3600, 28)), "given")


def decided(
    demand: Demand | None = DAY, required: Requirements | None = None, *offers: Offer, **machine: Any
) -> Decision:
    chosen = offers or (API, CLOUD)
    return decide(replace(MACHINE, **machine), demand, chosen, MIX, required or Requirements(), "EUR")


def test_the_options_are_own_machines_each_offer_and_the_hybrids() -> None:
    found = decided()
    assert [(option.machines, option.offer) for option in found.options] == [
        (1, "cloud"),
        (1, "api"),
        (0, "cloud"),
        (3, None),
        (0, "api"),
    ]
    assert found.cheapest == found.options[0]
    best = found.options[0]
    assert best.cost == pytest.approx(8760 + 2 * 2 * 365 * 2)
    assert best.owned_capital + best.owned_energy + best.rented_cost == best.cost
    assert (best.rented_hours, best.rented_instances) == (pytest.approx(2 * 2 * 365), 2)
    requests = DAY.mean * 3600 * 8760
    assert best.per_request == pytest.approx(best.cost / requests)
    assert best.per_million_output_tokens == pytest.approx(best.cost / requests / 100 * 1e6)
    assert found.sovereignty_per_year is None
    assert found.currency == "EUR"


def test_requirements_refuse_options_and_have_a_price() -> None:
    found = decided(DAY, Requirements(on_premises=True))
    assert found.cheapest is not None
    assert (found.cheapest.machines, found.cheapest.offer) == (3, None)
    assert found.sovereignty_per_year == pytest.approx(3 * 8760 - found.options[0].cost)
    assert all(option.objections for option in found.options if option.offer)
    eu = decided(DAY, Requirements(regions=("EU",)))
    assert eu.cheapest == eu.options[0]
    assert eu.sovereignty_per_year == 0


def test_a_confidential_share_keeps_machines_on_the_premises() -> None:
    found = decided(DAY, Requirements(confidential_share=0.5), CLOUD)
    assert found.cheapest is not None
    assert (found.cheapest.machines, found.cheapest.offer) == (2, "cloud")
    assert found.options[0].objections == ("less than the confidential 50 % stays on the premises",)
    assert found.sovereignty_per_year == pytest.approx(8760 - 2 * 2 * 365)
    stays = Offer(name="lease", price_per_hour=2.0, requests_per_second=10, data_leaves_premises=False)
    assert decided(DAY, Requirements(confidential_share=0.5), stays).sovereignty_per_year == 0


def test_no_option_may_be_left_but_own_machines() -> None:
    found = decided(constant(30), Requirements(confidential_share=1.0))
    assert found.cheapest is not None
    assert found.cheapest.offer is None
    assert {option.offer for option in found.options} == {None, "api", "cloud"}


def test_each_offer_has_its_break_even_loads() -> None:
    api, cloud = decided(constant(30)).break_even
    assert api.price_per_request == pytest.approx((300 * 0.1 + 100 * 0.6) / 1e6)
    assert api.price_per_million_output_tokens == pytest.approx(0.9)
    assert api.utilizations == (Range(pytest.approx(1 / (36_000 * 9e-5)), 1),)
    assert api.demands[0].low == pytest.approx(1 / (3600 * 9e-5))
    assert api.hours_per_year is None
    assert cloud.utilizations == (Range(pytest.approx(0.5), 1),)
    assert cloud.hours_per_year == 4380
    assert cloud.payback_years == pytest.approx(90_000 / (3 * 2 * 8760 - 3 * 8760 + 3 * 7500))


def test_the_payback_time_follows_the_price_of_the_offer() -> None:
    falling = Offer(name="falling", price_per_hour=2.0, requests_per_second=10, price_change_per_year=-0.9)
    assert decided(constant(30), None, falling).break_even[0].payback_years is None


def test_without_a_demand_there_are_only_break_even_loads() -> None:
    found = decided(None, Requirements(on_premises=True))
    assert found.options == ()
    assert found.cheapest is None
    assert found.sovereignty_per_year is None
    assert [each.payback_years for each in found.break_even] == [None, None]


def test_an_offer_that_does_not_fit_the_profile_is_left_out_with_the_reason() -> None:
    blind = Offer(name="blind", price_per_million_input_tokens=1)
    found = decided(DAY, None, blind, CLOUD)
    assert [each.offer for each in found.left_out] == ["blind"]
    assert "price_per_million_output_tokens is not given" in found.left_out[0].reason
    assert [each.offer for each in found.break_even] == ["cloud"]
    assert {each.offer for each in found.assumptions} == {"cloud"}


def test_work_without_tokens_has_a_price_of_a_request_only() -> None:
    found = decide(MACHINE, DAY, [CLOUD], Mix(), Requirements(), "EUR")
    assert found.options[0].per_million_output_tokens is None
    assert found.break_even[0].price_per_million_output_tokens is None


def test_the_headroom_needs_more_machines() -> None:
    assert next(option.machines for option in decided(headroom=0.2).options if option.offer is None) == 4


def test_spares_do_not_serve_the_confidential_share() -> None:
    found = decided(DAY, Requirements(confidential_share=0.5), CLOUD, spares=1)
    assert {option.machines: bool(option.objections) for option in found.options if option.offer} == {0: True, 3: False}


def test_instances_are_sized_for_the_peaks_within_a_step_too() -> None:
    found = decided(constant(10), None, CLOUD, peak_factor=2.0)
    assert {(option.machines, option.rented_instances) for option in found.options} == {(2, None), (0, 2)}


def test_a_machine_without_acquisition_cost_has_no_payback_time() -> None:
    assert [each.payback_years for each in decided(constant(30), capital=0.0).break_even] == [None, None]


def test_currencies_never_mix() -> None:
    dollars = Offer(name="dollars", price_per_hour=2.0, requests_per_second=10, currency="USD")
    with pytest.raises(TariffError, match="offer dollars is in USD, and the tariff is in EUR"):
        decided(DAY, None, dollars)


def test_two_offers_of_one_name_are_refused() -> None:
    with pytest.raises(TariffError, match="two offers have the name 'api'"):
        decided(DAY, None, API, API)


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=6).filter(any),
    st.floats(0.1, 5),
    st.floats(0.1, 5),
    st.sampled_from([0.5, 2.0, 8.0]),
)
def test_costs_are_linear_in_prices_and_break_even_loads_are_not_changed(
    rates: list[int], hour: float, million: float, factor: float
) -> None:
    """A power of two changes no digit, so even equal costs stay equal."""

    def at(scale: float) -> Decision:
        model = replace(MODEL, fixed_per_hour=scale, price_per_kwh=0.3 * scale)
        offers = (
            Offer(name="cloud", price_per_hour=hour * scale, requests_per_second=7, load_seconds=100),
            Offer(name="api", price_per_million_output_tokens=million * scale),
        )
        machine = replace(MACHINE, model=model, capital=30_000 * scale, recovery_per_year=7500 * scale)
        demand = Demand(tuple(Step(3600, rate) for rate in rates), "given")
        return decide(machine, demand, offers, Mix(output_tokens=100), Requirements(confidential_share=0.2), "EUR")

    one, other = at(1.0), at(factor)
    assert [(each.machines, each.offer) for each in one.options] == [
        (each.machines, each.offer) for each in other.options
    ]
    for before, after in zip(one.options, other.options, strict=True):
        assert after.cost == pytest.approx(before.cost * factor)
        assert before.owned_capital + before.owned_energy + before.rented_cost == pytest.approx(before.cost)
    assert one.sovereignty_per_year is not None
    assert other.sovereignty_per_year == pytest.approx(one.sovereignty_per_year * factor)
    for before, after in zip(one.break_even, other.break_even, strict=True):
        assert [each.low for each in after.demands] == pytest.approx([each.low for each in before.demands])
        assert [each.low for each in after.utilizations] == pytest.approx([each.low for each in before.utilizations])
        assert after.payback_years == (before.payback_years and pytest.approx(before.payback_years))
