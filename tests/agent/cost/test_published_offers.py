"""Published comparisons of owned and rented work, reproduced from their inputs, and the example of docs/offers.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cost.break_even import break_even_utilizations, cheaper_demands, payback_years
from agent.cost.decision import decide
from agent.cost.demand import parse_rate
from agent.cost.hourly import HourlyModel
from agent.cost.hybrid import Machine
from agent.cost.offers import Offer
from agent.cost.rented import Mix, rental
from agent.cost.requirements import Requirements

PAGE = (Path(__file__).parents[3] / "docs/offers.md").read_text(encoding="utf-8")
NO_POWER = ((0.0, 0.0), (1.0, 0.0))


def test_eight_h100_pay_back_after_the_hours_of_lenovo() -> None:
    """Lenovo Press LP2225, May 2025: 833,806 USD and 0.87 USD an hour against p5.48xlarge at 98.32: 8,556 h."""
    years = payback_years(833_806, 98.32 * 8760, 0.87 * 8760, 5)
    assert years is not None
    assert years * 8760 == pytest.approx(8556, abs=0.5)
    assert "8,556 hours" in PAGE


def test_the_answer_of_lenovo_is_that_of_a_decision() -> None:
    """The same machine with its capital in the hourly cost, at a constant demand that needs one of either."""
    recovery = 833_806 / 5
    model = HourlyModel(0.87 + recovery / 8760, 0.0, 1.0, NO_POWER, 10)
    offer = Offer(name="p5.48xlarge", price_per_hour=98.32, requests_per_second=10)
    machine = Machine(model, 833_806, recovery, 5)
    found = decide(machine, parse_rate("8/s"), [offer], Mix(), Requirements(), "USD")
    (against,) = found.break_even
    assert against.payback_years is not None
    assert against.payback_years * 8760 == pytest.approx(8556, abs=0.5)
    assert found.cheapest is not None
    assert found.cheapest.offer is None


def test_a_gpu_breaks_even_at_the_request_rate_of_manning() -> None:
    """Rearchitecting LLMs (Manning), section 12.9: 2.50 USD an hour against 0.004 USD a request: 625 requests/h."""
    model = HourlyModel(2.50, 0.0, 1.0, NO_POWER, 1.0)
    api = rental(Offer(name="api", price_per_million_input_tokens=4000), Mix(input_tokens=1))
    assert api.price_per_request == pytest.approx(0.004)
    assert cheaper_demands(model, api, 1.0)[0].low * 3600 == pytest.approx(625)
    assert "625 requests an hour" in PAGE


def test_a_rented_gpu_costs_as_much_as_an_api_host_only_at_full_use() -> None:
    """Self-hosting LLM inference vs API cost (dreaming.press): 2.50 USD an hour, 700 tokens/s, 0.99 USD a million."""
    model = HourlyModel(2.50, 0.0, 1.0, NO_POWER, 700)
    assert model.per_unit(1.0) * 1e6 == pytest.approx(0.99, abs=0.005)
    assert model.per_unit(0.1) * 1e6 == pytest.approx(9.92, abs=0.005)
    assert break_even_utilizations(model, 0.99e-6)[0:1] == ()
    (against,) = break_even_utilizations(model, 1.98e-6)
    assert against.low == pytest.approx(0.501, abs=0.0005)


def test_the_worked_machine_is_cheaper_than_the_example_of_an_api_above_a_utilization() -> None:
    """The API of docs/offers.md, an example: 0.15, cached 0.075, output 0.60 for a million tokens."""
    mix = Mix(input_tokens=300, cached_input_tokens=100, output_tokens=100)
    offer = Offer(
        name="api",
        price_per_million_input_tokens=0.15,
        price_per_million_cached_input_tokens=0.075,
        price_per_million_output_tokens=0.60,
    )
    api = rental(offer, mix)
    assert api.price_per_request == pytest.approx((200 * 0.15 + 100 * 0.075 + 100 * 0.60) / 1e6)
    model = HourlyModel((35_000 / 4 + 0.05 * 35_000) / 8760, 0.12, 1.54, ((0.0, 210.0), (1.0, 870.0)), 48.9)
    (found,) = break_even_utilizations(model, api.price_per_request or 0.0)
    k = 0.12 * 1.54 / 1000
    assert found.low == pytest.approx((model.fixed_per_hour + k * 210) / (3600 * 48.9 * 97.5e-6 - k * (870 - 210)))
    assert f"{100 * found.low:.1f} %" in PAGE
