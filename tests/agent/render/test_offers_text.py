"""The printed answer names the cheapest option, all options with their parts, and the reasons against each."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import to_builtins

from agent.cost.decision import decide
from agent.cost.demand import Demand, Step
from agent.cost.hourly import HourlyModel
from agent.cost.hybrid import Machine
from agent.cost.offers import Offer
from agent.cost.rented import Mix
from agent.cost.requirements import Requirements
from agent.render.offers_text import offers_text

MODEL = HourlyModel(1.0, 0.3, 1.0, ((0.0, 200.0), (1.0, 800.0)), 10)
MACHINE = Machine(MODEL, capital=30_000, recovery_per_year=7500, life_years=4)
DAY = Demand((Step(22 * 3600, 9), Step(2 * 3600, 28)), "given", ("a note about the demand",))
OFFERS = (
    Offer(name="api", price_per_million_input_tokens=0.1, price_per_million_output_tokens=0.6, region="US"),
    Offer(name="cloud", price_per_hour=2.0, requests_per_second=10, billing_step_seconds=60, region="EU"),
    Offer(name="dear", price_per_million_input_tokens=0.0, price_per_million_output_tokens=0.001),
    Offer(name="blind", price_per_million_input_tokens=1),
)


def answer(demand: Demand | None = DAY, required: Requirements | None = None, mix: Mix | None = None) -> dict[str, Any]:
    chosen, tokens = required or Requirements(), mix or Mix(300, 30, 100)
    found = decide(MACHINE, demand, OFFERS, tokens, chosen, "EUR")
    shown = demand and {
        "origin": demand.origin,
        "mean_requests_per_second": demand.mean,
        "peak_requests_per_second": demand.peak,
        "notes": list(demand.notes),
    }
    return {
        "point": "rate=10",
        "capacity_requests_per_second": 10.0,
        "tokens_per_request": {
            "input": tokens.input_tokens,
            "cached_input": tokens.cached_input_tokens,
            "output": tokens.output_tokens,
        },
        "life_years": 4.0,
        "demand": shown,
        "offers": to_builtins(OFFERS),
        "requirements": to_builtins(chosen),
        **to_builtins(found),
        "rents": [],
        "notes": ["a note about the profile"],
    }


def loads_of(text: str) -> str:
    """Return the table of the break-even loads."""
    return text.partition("at these loads:")[2].partition("\n\n")[0]


def test_the_answer_begins_with_the_cheapest_option() -> None:
    text = offers_text(answer(), 80)
    assert text.startswith("Own machines, offers, or both.\nOwn machine        10.0 requests/s at rate=10; tokens")
    assert "100 output, 30.0 input cached" in text
    assert "Demand             10.6 requests/s, 28.0 at the peak (given)" in text
    assert "Cheapest           dear alone: " in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_each_option_has_its_parts_and_each_offer_its_break_even_loads() -> None:
    text = offers_text(answer(), 80)
    assert "A year of each option in EUR (per 1M: for 1M output tokens):" in text
    assert "1 own + cloud" in text
    assert "3 own" in text
    rows = {line.split()[0]: line for line in loads_of(text).splitlines() if line}
    assert "never" in rows["dear"]
    assert "over 4 years" in rows["dear"]
    assert "from 34.6 %" in rows["api"]
    assert "any         over 4 years  from 5,430" in rows["cloud"]


def test_the_shares_of_draws_are_shown_if_they_are_known() -> None:
    shown = answer()
    assert "Own or rent" not in offers_text(shown, 80)
    shown["break_even"][0]["owning_wins"], shown["break_even"][1]["owning_wins"] = 0.87, 0.0
    text = offers_text(shown, 200)
    assert (
        "Own or rent        own machines alone cost less than api in 87 % of the draws of uncertain inputs, than"
        in text
    )


def test_notes_have_reasons_and_assumptions_once() -> None:
    text = offers_text(answer(required=Requirements(regions=("EU",))), 200)
    assert "Note:  a note about the demand.\nNote:  a note about the profile.\n" in text
    assert "Note:  not allowed: dear alone: its region is not given.\n" in text
    assert "Note:  left out: offer blind: price_per_million_output_tokens is not given.\n" in text
    assert "Note:  assumed for api, cloud, dear: data_leaves_premises is not given: the data leaves" in text
    assert "Note:  price and utilization are against an instance that is always busy" in text


@pytest.mark.parametrize(
    ("required", "text"),
    [
        (Requirements(on_premises=True), "Sovereignty        on_premises costs "),
        (Requirements(regions=("EU", "CH")), "Sovereignty        region=EU, region=CH costs "),
        (
            Requirements(certifications=("C5",), confidential_share=0.5),
            "certification=C5, confidential_share=50% costs ",
        ),
    ],
)
def test_requirements_have_a_price(required: Requirements, text: str) -> None:
    shown = offers_text(answer(required=required), 200)
    assert text in shown
    assert "more than dear alone for 33.4 EUR" in shown


def test_requirements_that_the_cheapest_option_meets_cost_nothing() -> None:
    shown = answer(required=Requirements(on_premises=True))
    shown["sovereignty_per_year"] = 0.0
    assert "on_premises costs nothing: the cheapest option meets it" in offers_text(shown, 120)


def test_a_free_option_has_no_percentage() -> None:
    shown = answer(required=Requirements(on_premises=True))
    shown["options"][0]["cost"] = 0.0
    assert "EUR a year more than dear alone for 0 EUR" in offers_text(shown, 120)


def test_without_an_allowed_option_the_answer_states_it() -> None:
    assert "Cheapest           no option meets the requirements" in offers_text({**answer(), "cheapest": None}, 80)


def test_without_a_demand_there_are_break_even_loads_alone() -> None:
    text = offers_text(answer(None), 80)
    assert "Demand             not given: --demand or a utilization in the tariff" in text
    assert "A year of each option" not in text
    assert "at these loads:" in text
    required = Requirements(regions=("EU",))
    assert "Note:  not allowed: api: its region is US.\n" in offers_text(answer(None, required), 80)


def test_the_years_of_offers_stand_beside_those_of_own_machines() -> None:
    rents = [{"offer": "api", "payments": [100.0, 120.0], "total": 220.0, "net_present_value": 200.0}]
    own = {"years": [{"total": 300.0}, {"total": -120.0}], "net_present_value": 190.0}
    lines = offers_text({**answer(), "rents": rents}, 80, own).partition("Payments of 2 years in EUR")[2].splitlines()
    assert lines[1].split() == ["ALL", "WORK", "BY", "PRESENT", "VALUE", "YEAR", "1", "YEAR", "2"]
    assert [line.split()[0] for line in lines[2:4]] == ["own", "api"]
    assert "own machines" not in offers_text({**answer(), "rents": rents}, 80).partition("Payments of")[2][:300]


def test_offers_are_shown_as_they_are_given() -> None:
    words = " ".join(offers_text(answer(), 80).split())
    assert "api 0.1 in, 0.6 out for 1M tokens US given cloud 2 an hour, 10 requests/s (stated) EU given" in words
    measured = answer()
    measured["offers"][1].update(
        requests_per_second=None, output_tokens_per_second=700, throughput_origin="measured", source="a price list"
    )
    assert "2 an hour, 700 output tok/s (measured)  EU" in offers_text(measured, 80)
    assert "a price list" in offers_text(measured, 80)


def test_a_rented_own_machine_has_no_payback_time() -> None:
    assert "PAYBACK" in offers_text(answer(), 80)
    assert "PAYBACK" not in offers_text({**answer(), "life_years": None}, 80)


def test_work_without_tokens_is_priced_by_the_request() -> None:
    text = offers_text({**answer(mix=Mix()), "currency": None}, 100)
    assert "10.0 requests/s at rate=10\n" in text
    assert "A year of each option in price units (per 1M: for 1M requests):" in text
    assert "left out: offer api: it has prices of tokens, and the profile has no tokens" in text


def test_many_ranges_are_shortened() -> None:
    shown = answer()
    shown["break_even"][0]["demands"] = [{"low": float(n), "high": n + 0.5} for n in range(1, 9)]
    shown["break_even"][1]["demands"] = [{"low": 0.0, "high": shown["break_even"][1]["searched_demand"]}]
    text = offers_text(shown, 120).partition("at these loads:")[2]
    assert "1.00 to 1.50, ..., 8.00 to 8.50" in text
    assert "any" in next(line for line in text.splitlines() if line.startswith("cloud"))


def test_foreign_names_are_printed_without_control_characters() -> None:
    shown = answer()
    shown["options"][0]["offer"] = shown["cheapest"]["offer"] = "evil\x1b[2J"
    assert "\x1b" not in offers_text(shown, 80)


def test_without_offers_there_are_no_break_even_loads() -> None:
    shown = {**answer(), "break_even": [], "left_out": [], "assumptions": [], "notes": [], "options": []}
    shown["demand"] = {**shown["demand"], "notes": []}
    assert offers_text(shown, 80).count("\n\n") == 0
