"""The answer for a profile has its price with both ranges, its parts, and the origin of every value."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from msgspec import structs

from agent.cost.demand import Demand, Step, constant
from agent.cost.tariff import Tariff
from agent.cost.tariff_file import read_tariff
from agent.profiling.cost_inputs import machine_inputs, sensor_shares, split_inputs
from agent.profiling.costing import cost_answer
from agent.profiling.pricing import NoCostError, hourly_model, point_cost
from agent.profiling.records import Document
from profile_documents import example
from serving_documents import FOUND, OPEN, served

TARIFF = read_tariff(
    {
        "price_per_kwh": 0.3,
        "currency": "EUR",
        "capital": 9000,
        "utilization": 0.3,
        "maintenance_share": 0.05,
        "measured": ["utilization"],
        "range": {"utilization": [0.2, 0.5]},
    }
)
DRAWS = 2000
ENERGY = {"energy", "cooling_and_distribution"}


def document(points=OPEN, rate=FOUND, idle=50.0):
    loaded = {"mean": idle, "lower": 0.9 * idle, "upper": 1.1 * idle, "source": "measured"}
    baseline = {"state": "loaded", "when": "before", "duration_seconds": 2, "watts": loaded, "sensors": []}
    return msgspec.convert({**served(points, rate), "baselines": [baseline] if idle else []}, Document)


def answered(found, tariff=TARIFF, **more):
    return cost_answer(found, tariff, count=DRAWS, **more)


def test_the_price_is_that_of_the_formulas_at_the_confirmed_rate():
    found = answered(document())
    model = hourly_model(document(), document().points[0], TARIFF)
    tokens = point_cost(document().points[0], ()).output_tokens
    assert (found.point, found.unit, found.currency) == ("rate=8.0", "output tokens", "EUR")
    assert found.totals["usage"].mean == pytest.approx(1e6 * model.per_unit(1) / tokens)
    assert found.totals["allocation"].mean == pytest.approx(1e6 * model.per_unit(0.3) / tokens)
    assert found.cost_of_idle == pytest.approx(found.totals["allocation"].mean - found.totals["usage"].mean)


def test_the_interval_lies_in_the_worst_case():
    for spread in answered(document()).totals.values():
        assert spread.worst_lower <= spread.lower * (1 + 1e-9)
        assert spread.lower <= spread.mean <= spread.upper <= spread.worst_upper * (1 + 1e-9)


def test_every_value_has_its_origin():
    origins = {each.name: each.origin for each in answered(document(), demand=constant(10)).values}
    assert origins["utilization"] == "measured"
    assert (origins["capital"], origins["pue"], origins["life_years"]) == ("given", "default", "assumed")
    assert (origins["headroom"], origins["peak_factor"], origins["spares"]) == ("assumed", "assumed", "assumed")
    assert (origins["energy_joules"], origins["throughput"]) == ("measured", "measured")
    cooled = read_tariff({"price_per_kwh": 1, "cooling_overhead": 0.2, "distribution_loss": 0.1})
    assert "pue" not in {each.name for each in answered(document(), cooled).values}


def test_energy_below_the_plug_is_a_lower_bound_unless_the_tariff_corrects_it():
    assert any("lower bounds" in note for note in answered(document()).notes)
    corrected = TARIFF.with_values({"wall_factor": 1.1})
    assert not any("lower bounds" in note for note in answered(document(), corrected).notes)


def test_a_missing_price_is_a_note_and_leaves_the_rest():
    found = answered(document(), Tariff(price_per_kwh=0.3), demand=constant(10), years=2)
    assert (found.totals, found.cost_of_idle, found.fleet, found.ownership) == ({}, None, None, None)
    assert found.token_prices is None
    assert any(note.startswith("capital is not given") for note in found.notes)
    assert any(note.startswith("no fleet and no table of years: the tariff has no capital") for note in found.notes)


def test_without_idle_power_there_is_a_price_at_full_use():
    found = answered(document(idle=0))
    assert list(found.totals) == ["usage"]
    assert found.curve[0][0] == 1
    assert "idle_watts" not in {each.name for each in found.values}


def test_work_without_tokens_is_priced_by_inference():
    blank = [{**point, "output_tokens_per_second": None, "output_tokens_per_inference": None} for point in OPEN]
    found = answered(document(blank))
    assert (found.unit, found.output_tokens_per_second, found.token_prices) == ("inferences", None, None)
    assert found.totals["usage"].mean == pytest.approx(1e6 * found.cost.usage.per_inference.total.mean)


def test_a_fleet_has_the_peak_of_its_demand():
    number = answered(document(), TARIFF.with_values({"peak_factor": 3}), demand=constant(20)).fleet
    assert (number.mean_rate, number.peak_rate) == (20, 60)
    day = Demand((Step(43_200, 10.0), Step(43_200, 30.0)), "given")
    curve = answered(document(), TARIFF.with_values({"peak_factor": 3}), demand=day).fleet
    assert (curve.mean_rate, curve.peak_rate) == (20, 30)
    watts = answered(document()).density.watts_per_machine
    assert watts >= point_cost(document().points[0], ()).busy_watts


def test_a_growing_demand_needs_more_machines_each_year():
    growing = TARIFF.with_values({"demand_growth_per_year": 0.5})
    found = answered(document(), growing, demand=constant(20), years=3)
    machines = [year.machines for year in found.ownership.years]
    assert machines[0] == found.fleet.machines
    assert machines == sorted(machines) != [machines[0]] * 3
    assert all(0 < year.utilization <= 1 for year in found.ownership.years)


def test_the_energy_of_a_year_is_that_of_the_fleet_over_its_curve():
    day = Demand((Step(43_200, 1.0), Step(43_200, 30.0)), "given")
    by_hour = dataclasses.replace(day, price_factors=(0.5, 1.5))
    found = answered(document(rate=structs.replace(FOUND, point=OPEN[1]["name"])), TARIFF, demand=day, years=1)
    paid = sum(each.amount for each in found.ownership.years[0].payments if each.name in ENERGY)
    assert len(found.curve) > 2
    assert paid == pytest.approx(found.fleet.kilowatt_hours_per_year * TARIFF.price_per_kwh)
    dear = answered(document(rate=structs.replace(FOUND, point=OPEN[1]["name"])), TARIFF, demand=by_hour, years=1)
    more = sum(each.amount for each in dear.ownership.years[0].payments if each.name in ENERGY)
    assert more - paid == pytest.approx(dear.fleet.cost_per_year - found.fleet.cost_per_year)
    assert more != pytest.approx(paid)


def test_without_a_demand_the_years_are_those_of_one_machine():
    found = answered(document(), years=2)
    assert [(year.machines, year.utilization) for year in found.ownership.years] == [(1, 0.3), (1, 0.3)]
    full = answered(document(), Tariff(price_per_kwh=1, capital=1), years=1)
    assert full.ownership.years[0].utilization == 1
    assert any("assumes full use" in note for note in full.notes)


def test_a_profile_without_energy_has_no_answer():
    blank = [{**point, "energy": None, "power": None, "cost": None} for point in OPEN]
    with pytest.raises(NoCostError, match="no point with energy"):
        answered(document(blank))


def test_the_phases_of_a_model_divide_the_price_between_tokens():
    found = msgspec.convert(example(), Document)
    prices = answered(found).token_prices
    assert [each.method for each in prices.refused] == ["regression"]
    assert prices.method == "phases"
    point = next(each for each in found.points if each.name == answered(found).point)
    joules = {each.phase: each.joules_per_inference.mean for each in point.energy.phases}
    assert prices.input_share == pytest.approx(joules["prefill"] / sum(joules.values()))
    inputs = point_cost(point, found.baselines)
    total = answered(found).cost.usage.per_inference.total.mean
    per_input, per_output = prices.usage
    assert per_input * inputs.input_tokens + per_output * inputs.output_tokens == pytest.approx(1e6 * total)


def test_a_served_model_is_divided_by_its_times_without_cached_tokens():
    cached = [{**point, "serving": {**point["serving"], "cached_input_tokens_per_second": 80.0}} for point in OPEN]
    found = document(cached)
    inputs = split_inputs(found, found.points[0])
    rate = found.points[0].inferences_per_second.mean
    assert inputs.own.input_tokens == pytest.approx(point_cost(found.points[0], ()).input_tokens - 80 / rate)
    assert inputs.phase_seconds == pytest.approx((0.1, 0.2))
    assert inputs.phase_joules is None
    assert answered(found).token_prices.method == "compute_time"


def test_other_lengths_at_the_same_load_separate_tokens():
    longer = {**OPEN[0], "parameters": {**OPEN[0]["parameters"], "prompt_tokens": 512}}
    found = document([OPEN[0], longer, OPEN[1]])
    assert len(split_inputs(found, found.points[0]).others) == 1
    blank = structs.replace(found.points[0], energy=None)
    assert split_inputs(found, blank) is None


def test_a_batch_has_no_time_to_first_token_of_a_load():
    found = msgspec.convert(example(), Document)
    assert split_inputs(found, found.points[0]).phase_seconds is None


def test_the_sensors_of_the_total_share_its_error():
    found = document()
    point = found.points[0]
    assert sensor_shares(found, point) == ((f"{found.host.id}/package-0/package", 1.0),)
    without = structs.replace(point, energy=structs.replace(point.energy, sensors=()))
    assert sensor_shares(found, without) == ((f"{found.host.id}/total", 1.0),)


def test_the_spread_of_repeats_and_the_bounds_of_sensors_are_apart():
    found = document()
    point = structs.replace(found.points[0], repeats=3)
    energy = point.energy
    total = structs.replace(energy.joules_per_inference.total, mean=10.0, lower=7.0, upper=14.0)
    repeats = structs.replace(energy.repeats, count=3, standard_deviation=0.5, lower=9.0, upper=11.0)
    parts = structs.replace(energy.joules_per_inference, total=total)
    point = structs.replace(point, energy=structs.replace(energy, joules_per_inference=parts, repeats=repeats))
    share = point.serving.goodput.attained
    joules = machine_inputs(found, point).joules
    assert (joules.mean, joules.standard_error, joules.degrees) == pytest.approx((10 / share, 0.5 / 3**0.5 / share, 2))
    assert (joules.below, joules.above) == pytest.approx((2 / share, 3 / share))
    cut = structs.replace(parts, total=structs.replace(total, lower=0.0, upper=30.0))
    joules = machine_inputs(
        found, structs.replace(point, energy=structs.replace(point.energy, joules_per_inference=cut))
    ).joules
    assert (joules.below, joules.above) == pytest.approx((19 / share, 19 / share))


def test_one_repeat_has_only_the_bounds_of_its_sensors():
    found = document()
    energy = found.points[0].energy
    repeats = structs.replace(energy.repeats, count=1, standard_deviation=None, lower=None, upper=None)
    rate = structs.replace(found.points[0].inferences_per_second, lower=None, upper=None)
    point = structs.replace(
        found.points[0], repeats=1, energy=structs.replace(energy, repeats=repeats), inferences_per_second=rate
    )
    inputs = machine_inputs(found, point)
    assert (inputs.joules.standard_error, inputs.rate.standard_error, inputs.rate.degrees) == (0, 0, 0)


def test_lower_loads_have_the_bounds_of_their_power():
    found = document()
    high = found.points[1]
    ((load, power),) = machine_inputs(found, high).loads
    assert 0 < load < 1
    bounds = found.points[0].power.mean_watts
    assert power.above / power.mean == pytest.approx((bounds.upper - bounds.mean) / bounds.mean)
    silent = structs.replace(found, points=(structs.replace(found.points[0], power=None), high))
    assert machine_inputs(silent, high).loads[0][1].above == 0
