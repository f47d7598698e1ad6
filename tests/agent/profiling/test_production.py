from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.cost.tariff import Tariff
from agent.profiling.document.codec import check, to_json
from agent.profiling.production import NoTrafficError, build_production_profile
from store.records import Host, ServingHour

HOST = Host("h", "bench")
HOUR = ServingHour(
    "h",
    "chat",
    "m",
    480_000,
    "arrivals",
    "measured",
    360,
    36,
    "[]",
    "[]",
    seconds=3600.0,
    requests=7200.0,
    errors=0.0,
    input_tokens=720_000.0,
    output_tokens=144_000.0,
    duration=14_400.0,
    idle_joules=180_000.0,
    idle_lower=170_000.0,
    idle_upper=190_000.0,
    attributed_joules=360_000.0,
    attributed_lower=350_000.0,
    attributed_upper=370_000.0,
)


def test_rate_and_power_are_those_of_the_time_that_the_counts_cover() -> None:
    (point,) = build_production_profile("chat", [replace(HOUR, bins=180)], HOST, None, 10**18).points
    assert point.inferences_per_second.mean == 2.0
    assert point.power
    assert point.power.mean_watts.mean == 150


def test_an_hour_of_traffic_is_a_repeat_of_its_model() -> None:
    document = build_production_profile("chat", [HOUR, replace(HOUR, hour=480_001)], HOST, None, 10**18, "vllm")
    (point,) = document.points
    assert (point.name, point.repeats, point.valid) == ("model=m", 2, True)
    assert point.inferences_per_second.mean == 2.0
    assert point.mean_latency_seconds.mean == 2.0
    assert (point.input_tokens_per_inference, point.output_tokens_per_inference) == (100, 20)
    assert point.output_tokens_per_second
    assert point.output_tokens_per_second.mean == 40
    energy = point.energy
    assert energy
    assert energy.joules_per_inference.total.mean == 75
    assert energy.joules_per_inference.total.lower == pytest.approx(520_000 / 7200)
    assert energy.joules_per_output_token
    assert energy.joules_per_output_token.mean == pytest.approx(3.75)
    assert energy.estimated_share == 0
    assert point.power
    assert point.power.mean_watts.mean == 150
    assert (point.cost, document.engine.name, document.coverage.includes[0].device) == (None, "vllm", "server chat")
    assert "in 10 % of the time requests waited" in document.notes[2]
    assert "requests count when they are received" in document.notes[2]
    check(json.loads(to_json(document)))


def test_a_tariff_prices_the_traffic() -> None:
    tariff = Tariff(price_per_kwh=0.36, pue=1.0, capital=8760.0, life_years=1.0, utilization=0.5)
    (point,) = build_production_profile("chat", [HOUR], HOST, tariff, 10**18).points
    assert point.cost
    assert point.cost.usage.per_inference.energy
    assert point.cost.usage.per_inference.energy.mean == pytest.approx(75 / 3.6e6 * 0.36)


def test_each_model_is_a_point_and_sources_are_mixed() -> None:
    hours = [HOUR, replace(HOUR, model="other", source="estimated")]
    document = build_production_profile("chat", hours, HOST, None, 10**18)
    assert [point.name for point in document.points] == ["model=m", "model=other"]
    assert document.coverage.source == "mixed"
    assert [point.energy.estimated_share for point in document.points if point.energy] == [0, 1]
    assert document.plan.sweep == {"model": ["m", "other"]}


def test_hours_without_requests_are_left_out() -> None:
    (point,) = build_production_profile("chat", [HOUR, replace(HOUR, requests=0.0)], HOST, None, 10**18).points
    assert point.repeats == 1


def test_traffic_without_attributed_energy_has_speed_only() -> None:
    document = build_production_profile("chat", [replace(HOUR, source="")], HOST, Tariff(price_per_kwh=1.0), 10**18)
    (point,) = document.points
    assert (point.energy, point.power, point.cost, point.valid) == (None, None, None, False)
    assert point.inferences_per_second.mean == 2.0
    assert document.coverage.includes == ()


def test_a_model_without_output_tokens_has_no_energy_for_each() -> None:
    (point,) = build_production_profile("chat", [replace(HOUR, output_tokens=None)], HOST, None, 10**18).points
    assert point.energy
    assert point.energy.joules_per_output_token is None
    assert point.output_tokens_per_second is None
    assert point.energy.joules_per_input_token


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        ([], "no traffic of chat is stored"),
        ([replace(HOUR, requests=None)], "chat counts no requests"),
        ([replace(HOUR, requests=0.0)], "chat had no request in this time"),
        ([replace(HOUR, bins=0)], "chat had no request in this time"),
        ([replace(HOUR, duration=None)], "chat reports no durations of requests"),
    ],
)
def test_traffic_that_does_not_suffice_is_refused_with_the_reason(hours: list[ServingHour], message: str) -> None:
    with pytest.raises(NoTrafficError, match=message):
        build_production_profile("chat", hours, HOST, None, 10**18)
