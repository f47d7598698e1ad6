"""Published results follow from their published inputs, and the page shows both."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cost.interval import Interval
from agent.cost.lines import capital_per_hour, capital_recovery_factor
from agent.cost.model import PointCost, price_point
from agent.cost.tariff import Tariff

PAGE = (Path(__file__).parents[3] / "docs/cost.md").read_text(encoding="utf-8")
HOURS_PER_YEAR = 8760


def tokens(rate):
    """A machine that does a token a request, of unknown energy."""
    return PointCost(Interval.exact(0.0), Interval.exact(rate), output_tokens=1.0)


def saturated():
    """One H100 with Qwen3-30B-A3B FP8 on vLLM: data/master_results.csv of the paper's repository, run C4 at 200/s."""
    usage = price_point(Tariff(price_per_hour=6.98), tokens(9271.036529)).usage
    return f"{usage.per_million_output_tokens.total.mean:.4f}"


def nearly_idle():
    """Two H100 with Mixtral FP16 at 1 request/s, whose saturation is 4454.3 tok/s: the same file, run C5."""
    tariff = Tariff(price_per_hour=13.96, utilization=254.228607 / 4454.315937)
    return f"{price_point(tariff, tokens(4454.315937)).allocation.per_million_output_tokens.total.mean:.2f}"


def nodes_of_a_day():
    usage = price_point(Tariff(price_per_hour=8 * 2.0), tokens(1.0)).usage
    return f"{226.75 * 24 * usage.per_hour.total:,.0f}"


def recovery_with_salvage():
    tariff = Tariff(capital=50_000, residual_share=0.1, life_years=5, discount_rate=0.1)
    return f"{capital_per_hour(tariff) * HOURS_PER_YEAR:,.0f}"


def recovery_factor():
    return f"{capital_recovery_factor(10, 0.08):.5f}"


def energy_of_a_server():
    point = PointCost(Interval.exact(380.0), Interval.exact(1.0))
    return f"{price_point(Tariff(price_per_kwh=0.10, pue=1), point).usage.per_hour.energy * HOURS_PER_YEAR:.0f}"


def carbon_of_an_interaction():
    """The published energy of an hour contains the PUE; the machine does 38,032,740 interactions an hour."""
    rate, watts = 38_032_740 / 3600, 149 / 1.5
    tariff = Tariff(pue=1.5, carbon_intensity_g_per_kwh=457, embodied_kg_co2e=6270, life_years=4)
    found = price_point(tariff, PointCost(Interval.exact(watts / rate), Interval.exact(rate))).usage
    return f"{found.carbon_grams_per_inference.total.mean * 1e7:.2f}e-7"


@pytest.mark.parametrize(
    ("case", "published", "calculated"),
    [
        ("Patil 2026", "0.2091", saturated),
        ("the same, Mixtral FP16", "15.25", nearly_idle),
        ("DeepSeek 2025", "87,072", nodes_of_a_day),
        ("capital recovery with salvage value", "12,371", recovery_with_salvage),
        ("capital recovery factors", "0.14903", recovery_factor),
        ("energy of a server", "333", energy_of_a_server),
        ("SCI of an application server", "64.95e-7", carbon_of_an_interaction),
    ],
)
def test_a_published_result_follows_from_its_inputs(case, published, calculated):
    (row,) = (line.split(" | ") for line in PAGE.splitlines() if line.startswith(f"| {case}"))
    assert calculated() == published
    assert row[2].split()[0] == published
    assert row[3].rstrip(" |") == published


@pytest.mark.parametrize(("years", "rate", "factor"), [(4, 0.06, 0.28859), (8, 0.1, 0.18744), (18, 0.045, 0.08222)])
def test_other_factors_of_the_published_table_follow(years, rate, factor):
    assert capital_recovery_factor(years, rate) == pytest.approx(factor, abs=2e-5)
