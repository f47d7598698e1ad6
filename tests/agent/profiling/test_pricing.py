"""The inputs of a cost come from the document alone, so a stored profile is priced again without measuring."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import structs

from agent.cost.tariff import Tariff
from agent.profiling.pricing import (
    NoCostError,
    hourly_model,
    point_cost,
    power_curve,
    price_document,
    sustained_point,
)
from agent.profiling.records import Document
from agent.profiling.serving_records import RateTrial, SustainableRate
from profile_documents import example
from serving_documents import CLOSED, FOUND, LEVEL, OPEN, PRICES, served

DEARER = structs.replace(PRICES, price_per_kwh=0.6)

AMOUNTS = ("per_inference", "per_million_output_tokens", "per_million_total_tokens")


def document(points=OPEN, rate=None, idle=50.0):
    loaded = {"mean": idle, "lower": idle, "upper": idle, "source": "measured"}
    baseline = {"state": "loaded", "when": "before", "duration_seconds": 2, "watts": loaded, "sensors": []}
    return msgspec.convert({**served(points, rate), "baselines": [baseline] if idle else []}, Document)


def test_repricing_gives_the_published_profile_the_costs_of_its_run():
    published = msgspec.convert(example(), Document)
    for old, new in zip(published.points, price_document(published, published.tariff).points, strict=True):
        for before, after in zip(totals(old), totals(new), strict=True):
            assert (after.lower, after.mean, after.upper) == pytest.approx((before.lower, before.mean, before.upper))


def totals(point):
    amounts = [getattr(basis, name) for basis in (point.cost.usage, point.cost.allocation) for name in AMOUNTS]
    return [part for amount in amounts for part in (amount.energy, amount.capital)]


def test_a_former_tariff_leaves_no_trace_in_the_costs():
    before = document()
    assert price_document(price_document(before, DEARER), PRICES) == price_document(before, PRICES)


def test_repricing_changes_only_the_tariff_and_the_costs():
    before = price_document(document(), PRICES)
    after = price_document(before, DEARER)
    assert after.tariff == DEARER
    old, new = (each.points[0].cost.usage.per_inference for each in (before, after))
    assert (new.energy.mean, new.capital) == (pytest.approx(2 * old.energy.mean), old.capital)
    assert structs.replace(after, tariff=before.tariff, points=before.points) == before


def test_without_a_tariff_no_point_has_a_cost():
    after = price_document(document(), None)
    assert {point.cost for point in after.points} == {None}
    assert after.tariff is None


def test_tokens_are_those_of_the_windows_whose_energy_is_counted():
    (point, *_) = document().points
    inputs = point_cost(point, ())
    per_token = inputs.energy_joules.mean / inputs.output_tokens
    assert per_token == pytest.approx(point.energy.joules_per_output_token.mean)


def test_a_point_without_token_rates_has_the_mean_length_of_its_requests():
    point = structs.replace(document().points[0], output_tokens_per_second=None, output_tokens_per_inference=7.0)
    assert point_cost(point, ()).output_tokens == 7


def test_the_idle_power_is_the_mean_of_the_baselines_with_the_model_loaded():
    one = document().baselines[0]
    other = structs.replace(one, watts=structs.replace(one.watts, mean=70.0, lower=60.0, upper=80.0))
    unloaded = structs.replace(one, state="unloaded")
    idle = point_cost(document().points[0], (one, other, unloaded, structs.replace(one, watts=None))).idle_watts
    assert (idle.mean, idle.lower, idle.upper) == (60, 50, 80)
    assert point_cost(document().points[0], (unloaded,)).idle_watts is None


def test_the_capacity_is_that_of_the_confirmed_sustainable_rate():
    point, note = sustained_point(document(rate=FOUND))
    assert (point.name, note) == ("rate=8.0", None)


def test_without_a_confirmed_rate_the_capacity_is_the_highest_that_met_the_level():
    unconfirmed = SustainableRate(LEVEL, 8.0, 9.0, None, (RateTrial(8.0, "met", 120, 1.0, 0.975, ""),))
    point, note = sustained_point(document(rate=unconfirmed))
    assert point.name == "rate=8.0"
    assert "met the service level" in note


def test_without_a_level_the_capacity_is_the_highest_rate():
    points = [{**point, "serving": {**point["serving"], "goodput": None}} for point in OPEN]
    point, note = sustained_point(document(points))
    assert point.name == "rate=16.0"
    assert "--find-max" in note


def test_a_capacity_that_met_no_level_or_comes_from_a_closed_loop_says_so():
    missed = {**OPEN[1]["serving"]["goodput"], "met": False}
    failed = [{**point, "serving": {**point["serving"], "goodput": missed}} for point in OPEN]
    assert "no rate is known to meet the service level" in sustained_point(document(failed))[1]
    assert "clients that wait" not in sustained_point(document(failed))[1]
    assert "clients that wait for the server" in sustained_point(document(CLOSED))[1]


def test_production_traffic_is_not_a_capacity():
    found = document()
    traffic = structs.replace(found, plan=structs.replace(found.plan, mode="production"))
    assert "production traffic, not the capacity" in sustained_point(traffic)[1]


def test_a_profile_without_energy_has_no_capacity_and_no_cost():
    blank = [{**point, "energy": None, "power": None, "cost": None} for point in OPEN]
    without = document(blank)
    with pytest.raises(NoCostError, match="no point with energy"):
        sustained_point(without)
    with pytest.raises(NoCostError, match="nothing measures its power"):
        point_cost(without.points[0], ())
    with pytest.raises(NoCostError, match="a check failed"):
        point_cost(structs.replace(without.points[0], valid=False), ())
    assert price_document(without, PRICES).points[0].cost is None


def test_lower_loads_of_the_same_requests_are_on_the_power_curve():
    low, high = document(idle=40.0).points
    found = document(idle=40.0)
    (zero, idle), (share, middle), (one, busy) = power_curve(found, high)
    assert (zero, idle, one) == (0, 40, 1)
    assert share == pytest.approx(point_cost(low, ()).throughput.mean / point_cost(high, ()).throughput.mean)
    assert middle == pytest.approx(point_cost(low, ()).busy_watts)
    assert busy == pytest.approx(point_cost(high, ()).busy_watts)
    assert len(power_curve(found, low)) == 2  # the other load is higher


def test_a_load_of_other_requests_is_not_on_the_power_curve():
    low = {**OPEN[0], "parameters": {**OPEN[0]["parameters"], "prompt_tokens": "512"}}
    found = document([low, OPEN[1]])
    assert len(power_curve(found, found.points[1])) == 2


def test_batches_are_not_loads_of_one_machine():
    found = msgspec.convert(example(), Document)
    priced = [point for point in found.points if point.energy]
    assert len(priced) > 1
    assert {len(power_curve(found, point)) for point in priced} == {2}


def test_the_hourly_model_agrees_with_the_cost_of_the_point():
    found = document([OPEN[0]])
    (point,) = price_document(found, PRICES).points
    model = hourly_model(found, point, PRICES)
    assert model.per_unit(1) == pytest.approx(point.cost.usage.per_inference.total.mean)
    assert model.per_unit(0.3) == pytest.approx(point.cost.allocation.per_inference.total.mean)


@pytest.mark.parametrize(
    ("tariff", "idle", "missing"),
    [(Tariff(price_per_kwh=1), 50, "capital"), (Tariff(capital=1), 50, "price_per_kwh"), (PRICES, 0, "idle power")],
)
def test_a_missing_input_of_the_hourly_model_is_named(tariff, idle, missing):
    found = document(idle=idle)
    with pytest.raises(NoCostError, match=missing):
        hourly_model(found, found.points[0], tariff)
