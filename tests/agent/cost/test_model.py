"""Money follows from joules, rate and tariff by the published formulas, and is absent where a number is."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from agent.cost.interval import Interval
from agent.cost.model import BasisCost, CostBreakdown, HourlyCost, PointCost, price_point
from agent.cost.tariff import Tariff
from agent.cost.tariff_file import load_tariff

DOCS = Path(__file__).parents[3] / "docs"

# 870 W busy and 210 W idle at 48.9 requests of 100 output tokens a second: 4890 output tokens/s.
TARIFF = Tariff(
    price_per_kwh=0.12, currency="EUR", pue=1.54, capital=35_000, life_years=4, maintenance_share=0.05, utilization=0.1
)
POINT = PointCost(
    energy_joules=Interval(870 / 48.9, 870 / 48.9 * 0.98, 870 / 48.9 * 1.02),
    throughput=Interval(48.9, 48.4, 49.4),
    idle_watts=Interval.exact(210),
    input_tokens=300,
    output_tokens=100,
)


def mean(interval: Interval | None) -> float:
    assert interval is not None
    return interval.mean


def allocated(tariff: Tariff, point: PointCost) -> BasisCost:
    prices = price_point(tariff, point).allocation
    assert prices is not None
    return prices


def test_the_worked_example_has_its_known_cost() -> None:
    cost = price_point(TARIFF, POINT)
    assert cost.allocation is not None
    assert cost.usage.per_million_output_tokens is not None
    assert cost.allocation.per_million_output_tokens is not None
    assert mean(cost.usage.per_million_output_tokens.total) == pytest.approx(0.077, abs=0.0005)
    assert mean(cost.allocation.per_million_output_tokens.total) == pytest.approx(0.71, abs=0.005)
    hour = cost.usage.per_hour
    assert hour.energy is not None
    assert hour.total is not None
    assert hour.energy / hour.total == pytest.approx(0.12, abs=0.005)


def test_the_worked_example_agrees_with_a_calculation_by_hand() -> None:
    cost = price_point(TARIFF, POINT)
    capital_hour = 35_000 / 4 / 8760 + 0.05 * 35_000 / 8760
    energy_hour = 0.12 * 1.54 * 0.870
    idle_hour = 0.12 * 1.54 * (0.210 * 0.9 + 0.870 * 0.1)
    assert (cost.usage.per_hour.energy, cost.usage.per_hour.capital) == pytest.approx((energy_hour, capital_hour))
    prices = cost.allocation
    assert prices is not None
    assert (prices.per_hour.energy, prices.per_hour.capital) == pytest.approx((idle_hour, capital_hour))
    assert mean(prices.per_inference.total) == pytest.approx((idle_hour + capital_hour) / (3600 * 48.9 * 0.1))
    assert prices.per_million_total_tokens is not None
    assert mean(prices.per_million_total_tokens.total) == pytest.approx(
        1e6 * (idle_hour + capital_hour) / (3600 * 48.9 * 400 * 0.1)
    )


def test_the_page_shows_the_result_of_its_example() -> None:
    page = (DOCS / "cost.md").read_text(encoding="utf-8")
    cost = price_point(load_tariff(DOCS / "tariff.example.toml"), POINT)
    shown = {}
    for line in page.splitlines():
        if match := re.fullmatch(r"\| (usage|allocation), (.*?) \| (.*?) \| (.*?) \| (.*?) \|", line):
            shown[match[1], match[2]] = match.groups()[2:]
    for basis, prices in (("usage", cost.usage), ("allocation", cost.allocation)):
        assert prices is not None
        hour, tokens = prices.per_hour, prices.per_million_output_tokens
        assert tokens is not None
        assert shown[basis, "an hour"] == tuple(f"{part:.4f}" for part in (hour.energy, hour.capital, hour.total))
        for name, work in (("an inference", prices.per_inference), ("a million output tokens", tokens)):
            means = (mean(part) for part in (work.energy, work.capital, work.total))
            assert shown[basis, name] == tuple(f"{value:.4g}" for value in means)


def test_the_bounds_of_energy_and_rate_combine_to_the_worst_case() -> None:
    total = price_point(TARIFF, POINT).usage.per_inference.total
    assert total is not None
    capital_hour = 35_000 / 4 / 8760 + 0.05 * 35_000 / 8760
    energy = 0.12 * 1.54 / 3.6e6 * 870 / 48.9
    assert total.lower == pytest.approx(energy * 0.98 + capital_hour / 3600 / 49.4)
    assert total.upper == pytest.approx(energy * 1.02 + capital_hour / 3600 / 48.4)


def test_without_a_tariff_there_is_no_cost_and_the_missing_inputs_are_named() -> None:
    cost = price_point(Tariff(), POINT)
    assert cost.usage.per_inference == CostBreakdown(None, None)
    assert cost.usage.per_inference.total is None
    assert cost.usage.per_hour == HourlyCost(None, None, ())
    assert cost.usage.per_hour.total is None
    assert cost.usage.no_total_reason == "no total without price_per_kwh and capital"
    assert cost.currency is None
    assert cost.carbon_grams_per_inference is None
    names = [missing.name for missing in cost.missing]
    assert names == ["price_per_kwh", "capital", "utilization", "carbon_intensity_g_per_kwh"]
    assert all(missing.effect for missing in cost.missing)
    assert cost.assumed == ()


def test_without_capital_energy_has_a_price_and_there_is_no_total() -> None:
    usage = price_point(Tariff(price_per_kwh=0.36, pue=1), POINT).usage
    assert mean(usage.per_inference.energy) == pytest.approx(870 / 48.9 * 1e-7)
    assert usage.per_inference.capital is None
    assert usage.per_inference.total is None
    assert usage.no_total_reason == "no total without capital"
    assert usage.per_million_output_tokens is not None
    assert usage.per_million_output_tokens.capital is None


def test_without_a_price_the_capital_has_a_cost_and_there_is_no_total() -> None:
    usage = price_point(Tariff(capital=100), POINT).usage
    assert usage.per_inference.energy is None
    assert mean(usage.per_inference.capital) > 0
    assert usage.no_total_reason == "no total without price_per_kwh"


def test_a_price_of_zero_is_a_price() -> None:
    usage = price_point(Tariff(price_per_kwh=0, capital=0), POINT).usage
    assert usage.no_total_reason is None
    assert mean(usage.per_inference.total) == 0


def test_without_utilization_there_is_no_allocation_and_a_reason() -> None:
    cost = price_point(Tariff(price_per_kwh=1, capital=1), POINT)
    assert cost.allocation is None
    assert cost.no_allocation_reason == "no utilization is given"


def test_with_utilization_there_is_no_reason_for_a_missing_allocation() -> None:
    cost = price_point(TARIFF, POINT)
    assert cost.no_allocation_reason is None
    assert cost.allocation is not None
    assert cost.allocation.no_total_reason is None
    assert (cost.usage.utilization, cost.allocation.utilization) == (1, 0.1)


def test_without_idle_power_the_allocation_has_only_its_capital_part() -> None:
    cost = price_point(TARIFF, replace(POINT, idle_watts=None))
    assert cost.allocation is not None
    assert cost.allocation.per_inference.energy is None
    assert mean(cost.allocation.per_inference.capital) > 0
    assert cost.allocation.no_total_reason == "no total without idle_watts"
    assert "idle_watts" in [missing.name for missing in cost.missing]
    assert cost.usage.no_total_reason is None


def test_at_full_utilization_idle_power_is_not_needed() -> None:
    cost = price_point(structs.replace(TARIFF, utilization=1), replace(POINT, idle_watts=None))
    assert cost.allocation == cost.usage
    assert "idle_watts" not in [missing.name for missing in cost.missing]


def test_terms_left_out_of_the_capital_part_are_named() -> None:
    names = [missing.name for missing in price_point(Tariff(price_per_kwh=1, capital=1, utilization=1), POINT).missing]
    assert names == [
        "carbon_intensity_g_per_kwh",
        "maintenance_share",
        "licences_per_year",
        "staff_per_year",
        "facility_per_kw_month",
    ]


@pytest.mark.parametrize(
    ("tariff", "names"),
    [
        (Tariff(capital=1), ["life_years", "residual_share", "discount_rate"]),
        (Tariff(price_per_kwh=1), ["pue"]),
        (Tariff(carbon_intensity_g_per_kwh=1), ["pue"]),
        (Tariff(price_per_kwh=1, capital=1).with_options(pue=1.54, life_years=4), ["residual_share", "discount_rate"]),
    ],
    ids=["capital", "price", "carbon", "confirmed"],
)
def test_only_defaults_behind_the_numbers_are_assumed(tariff: Tariff, names: list[str]) -> None:
    assert [default.name for default in price_point(tariff, POINT).assumed] == names


def test_carbon_is_energy_times_overhead_times_intensity() -> None:
    carbon = price_point(Tariff(carbon_intensity_g_per_kwh=360, pue=1.5), POINT).carbon_grams_per_inference
    assert carbon is not None
    assert carbon.mean == pytest.approx(870 / 48.9 * 1.5e-4)
    assert carbon.lower == pytest.approx(carbon.mean * 0.98)


@pytest.mark.parametrize(
    ("inputs", "outputs", "total", "has_output", "has_total"),
    [
        (None, None, None, False, False),
        (300, None, None, False, False),
        (None, 100, None, True, False),
        (300, 0, 300, False, True),
        (0, 0, 0, False, False),
    ],
)
def test_only_tokens_that_exist_are_priced(
    inputs: float | None, outputs: float | None, total: float | None, has_output: bool, has_total: bool
) -> None:
    point = replace(POINT, input_tokens=inputs, output_tokens=outputs)
    usage = price_point(TARIFF, point).usage
    assert point.total_tokens == total
    assert (usage.per_million_output_tokens is not None) is has_output
    assert (usage.per_million_total_tokens is not None) is has_total


def test_unknown_bounds_stay_unknown_in_every_cost() -> None:
    point = replace(POINT, energy_joules=Interval(18), throughput=Interval.exact(50))
    prices = allocated(TARIFF, point)
    assert prices.per_inference.energy is not None
    assert (prices.per_inference.energy.lower, prices.per_inference.energy.upper) == (None, None)
    assert prices.per_inference.capital is not None
    assert prices.per_inference.capital.lower == prices.per_inference.capital.upper == prices.per_inference.capital.mean
    assert prices.per_inference.total is not None
    assert prices.per_inference.total.upper is None


def test_a_rate_that_can_be_zero_bounds_the_time_on_one_side() -> None:
    assert replace(POINT, throughput=Interval(2, -1, 4)).seconds == Interval(0.5, 0.25, None)
    assert replace(POINT, throughput=Interval(2)).seconds == Interval(0.5, None, None)


def test_an_energy_interval_is_cut_at_zero() -> None:
    assert replace(POINT, energy_joules=Interval(2, -1, 5)).joules == Interval(2, 0, 5)


@pytest.mark.parametrize("throughput", [0.0, -1.0])
def test_no_throughput_has_no_price(throughput: float) -> None:
    with pytest.raises(ValueError, match=r"throughput = .* it must be more than 0"):
        replace(POINT, throughput=Interval.exact(throughput))


@pytest.mark.parametrize(
    "change",
    [
        {"energy_joules": Interval.exact(-1)},
        {"idle_watts": Interval.exact(-1)},
        {"input_tokens": -1},
        {"output_tokens": math.nan},
    ],
    ids=str,
)
def test_a_negative_or_infinite_number_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="it must be 0 or more, and finite"):
        replace(POINT, **change)  # type: ignore[arg-type]


def test_an_uncertain_idle_power_widens_allocation_and_not_usage():
    sure = price_point(TARIFF, POINT)
    unsure = price_point(TARIFF, replace(POINT, idle_watts=Interval(210, 84, 336)))
    assert unsure.usage == sure.usage
    before, after = sure.allocation.per_inference.energy, unsure.allocation.per_inference.energy
    assert after.mean == pytest.approx(before.mean)
    assert after.lower < before.lower
    assert after.upper > before.upper
    unknown = price_point(TARIFF, replace(POINT, idle_watts=Interval(210)))
    assert (unknown.allocation.per_inference.energy.lower, unknown.allocation.per_inference.energy.upper) == (
        None,
        None,
    )
