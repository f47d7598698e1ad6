from __future__ import annotations

import pytest

from agent.attribution.traffic import Interval, Traffic, WindowFigures, model_shares, token_costs
from agent.cost.tariff import Tariff
from agent.energy.bounds import Energy

SECOND = 10**9
STEP = {"output_tokens": 50.0, "input_tokens": 20.0, "requests": 5.0, "duration": 10.0}
JOULES = Energy(100, 90, 110)


def traffic(count: int, counts: dict[str, float], in_flight: float | None = 2.0) -> Traffic:
    found = Traffic()
    for n in range(1, count + 1):
        found.add(Interval(n * 5 * SECOND, 5.0, counts, in_flight, Energy(50, 50, 50), JOULES))
    return found


def test_joules_per_token_include_idle_and_state_their_window() -> None:
    figures = traffic(20, STEP).window()
    assert figures is not None
    assert (figures.window_seconds, figures.seconds, figures.mean_duration()) == (60, 60.0, (2.0, "reported"))
    found = figures.joules_per_output_token
    assert found is not None
    assert (found.joules, found.lower, found.upper) == pytest.approx((3.0, 2.8, 3.2))


def test_a_window_lasts_at_least_ten_mean_durations_of_a_request() -> None:
    slow = {**STEP, "duration": 100.0}  # 20 s a request
    assert traffic(20, slow).window() is None
    figures = traffic(61, slow).window()
    assert figures is not None
    assert figures.window_seconds == 300
    assert traffic(2000, {**STEP, "duration": 2000.0}).window() is None


def test_a_mean_duration_follows_from_the_requests_in_flight() -> None:
    figures = traffic(12, {"output_tokens": 50.0, "requests": 5.0}).window()
    assert figures is not None
    assert figures.mean_duration() == (2.0, "in_flight")


def test_a_server_without_a_count_of_requests_has_an_upper_limit_of_their_duration() -> None:
    """Tokens were added at each of 12 scrapes, so at least 12 requests ended in 60 s with 2 in flight."""
    assert traffic(12, {"output_tokens": 50.0}).window() is None
    figures = traffic(60, {"output_tokens": 50.0}).window()
    assert figures is not None
    assert figures.window_seconds == 300
    assert figures.mean_duration() == (10.0, "at_most")


@pytest.mark.parametrize(
    ("counts", "in_flight"),
    [({"requests": 5.0, "duration": 1.0}, 2.0), ({"output_tokens": 50.0}, None), ({}, 0.0), ({"requests": 5.0}, None)],
)
def test_no_value_without_output_tokens_or_a_duration(counts: dict[str, float], in_flight: float | None) -> None:
    assert traffic(100, counts, in_flight).window() is None
    assert WindowFigures(60).joules_per_output_token is None


def test_intervals_older_than_an_hour_are_dropped() -> None:
    found = traffic(5000, STEP)
    assert 720 <= len(found._intervals) <= 721


def test_the_longest_window_is_used_for_the_longest_requests() -> None:
    figures = traffic(721, {**STEP, "duration": 1500.0}).window()
    assert figures is not None
    assert figures.window_seconds == 3600


def test_one_long_interval_can_be_several_windows() -> None:
    found = Traffic()
    found.add(Interval(1000 * SECOND, 1000.0, {**STEP, "duration": 5 * 80.0}, 2.0))
    figures = found.window()
    assert figures is None  # 900 s would be enough, but the first length that 1000 s exceed is 60 s


def test_the_energy_of_a_server_is_shared_by_tokens_then_requests_then_equally() -> None:
    assert model_shares({"a": {"output_tokens": 3.0}, "b": {"input_tokens": 2.5}}) == {"a": 0.75, "b": 0.25}
    assert model_shares({"a": {"requests": 3.0}, "b": {"requests": 1.0}}) == {"a": 0.75, "b": 0.25}
    assert model_shares({"a": {}, "b": {}}) == {"a": 0.5, "b": 0.5}
    assert model_shares({}) == {}


def figures_of(counts: dict[str, float]) -> WindowFigures:
    return WindowFigures(3600, 3600.0, Energy(3.6e6, 3.6e6, 3.6e6), counts)


TARIFF = Tariff(price_per_kwh=0.5, pue=2.0, capital=8760.0 * 4, life_years=4.0)


def test_tokens_cost_energy_and_a_share_of_the_machine_on_the_allocation_basis() -> None:
    """One kWh at 0.5 with PUE 2 and half of a machine that costs 1 an hour: 1.5 for 4 million tokens."""
    costs = tuple(token_costs(figures_of({"input_tokens": 2e6, "output_tokens": 2e6}), TARIFF, 0.5))
    assert [(each.phase, each.allocation_method) for each in costs] == [
        ("", ""),
        ("prompt", "multiplier"),
        ("generation", "multiplier"),
    ]
    assert [each.amount for each in costs] == pytest.approx([1.5 / 4, 1.5 / 3.5 / 2, 1.5 * 2.5 / 3.5 / 2])


def test_times_of_the_phases_allocate_cost_if_the_server_reports_them() -> None:
    counts = {"input_tokens": 2e6, "output_tokens": 1e6, "prefill": 10.0, "decode": 30.0}
    costs = {each.phase: each for each in token_costs(figures_of(counts), TARIFF, 0.0)}
    assert costs["prompt"].allocation_method == costs["generation"].allocation_method == "compute_time"
    assert costs["prompt"].amount == pytest.approx(1.0 * 0.25 / 2)
    assert costs["generation"].amount == pytest.approx(0.75)


def test_phases_without_tokens_have_no_cost() -> None:
    assert [each.phase for each in token_costs(figures_of({"output_tokens": 1.0}), TARIFF, 1)] == ["", "generation"]
    assert [each.phase for each in token_costs(figures_of({"input_tokens": 1.0}), TARIFF, 1)] == ["", "prompt"]
    assert list(token_costs(figures_of({}), TARIFF, 1)) == []


@pytest.mark.parametrize("tariff", [Tariff(price_per_kwh=0.5), Tariff(capital=100.0)])
def test_there_is_no_cost_without_a_price_and_a_capital(tariff: Tariff) -> None:
    assert list(token_costs(figures_of({"output_tokens": 1.0}), tariff, 1)) == []
