"""Draws have the spread of their inputs, share what machines share, and agree with the formulas at their means."""

from __future__ import annotations

import numpy as np
import pytest

from agent.cost.draws import COUNT, Draws, HourlyDraws, bounds
from agent.cost.hourly import HourlyModel
from agent.cost.interval import Interval
from agent.cost.model import PointCost, price_point
from agent.cost.tariff import Tariff
from agent.cost.tariff_file import read_tariff
from agent.cost.uncertain import MachineInputs, UncertainAmount

GAUGE = (("host/package", 1.0),)
EXACT = MachineInputs(UncertainAmount(20.0), UncertainAmount(40.0), UncertainAmount(200.0))
POINT = PointCost(Interval(20.0), Interval(40.0), Interval(200.0))
EVERYTHING = {
    "capital": 10_000, "life_years": 5, "residual_share": 0.2, "discount_rate": 0.08, "maintenance_share": 0.1,
    "licences_per_year": 876, "staff_per_year": 1752, "facility_per_kw_month": 146, "provisioned_watts": 500,
    "price_per_kwh": 0.25, "cooling_overhead": 0.3, "distribution_loss": 0.1, "demand_charge_per_kw_month": 7.3,
    "wall_factor": 1.25, "utilization": 0.5,
    "time_of_day": [{"from_hour": 22, "until_hour": 6, "price_per_kwh": 0.1}],
}  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        EVERYTHING,
        {"capital": 10_000, "price_per_kwh": 0.25, "pue": 1.2, "utilization": 0.5},
        {"price_per_hour": 2.0, "price_per_kwh": 0.25, "demand_charge_per_kw_month": 9, "utilization": 0.5},
    ],
)
def test_certain_inputs_give_the_cost_of_the_formulas_in_every_draw(values):
    tariff = read_tariff(values)
    machine = Draws(10).machine(tariff, EXACT)
    cost = price_point(tariff, POINT)
    for utilization, basis in ((1.0, cost.usage), (0.5, cost.allocation)):
        assert machine.per_hour(utilization) == pytest.approx(np.full(10, basis.per_hour.total))
        assert machine.per_unit(utilization) == pytest.approx(np.full(10, basis.per_inference.total.mean))


@pytest.mark.parametrize(
    "name", ["capital", "life_years", "residual_share", "discount_rate", "price_per_kwh", "staff_per_year"]
)
def test_a_range_gives_the_costs_of_the_formulas_at_its_values(name):
    value = EVERYTHING[name]
    tariff = read_tariff({**EVERYTHING, "range": {name: [value * 0.5, value * 1.2]}})
    draws = Draws(50)
    machine, drawn = draws.machine(tariff, EXACT), draws.value(tariff, name)
    for place in (0, 20, 49):
        expected = price_point(tariff.with_values({name: float(drawn[place])}), POINT).usage.per_hour.total
        assert machine.per_hour(1.0)[place] == pytest.approx(expected)


def test_the_mean_of_repeats_has_the_interval_of_students_t():
    drawn = Draws().amount(UncertainAmount(10.0, standard_error=1.0, degrees=4))
    low, high = bounds(drawn)
    assert len(drawn) == COUNT >= 100_000
    assert (low, high) == (pytest.approx(10 - 2.776, abs=0.1), pytest.approx(10 + 2.776, abs=0.1))


def test_the_bounds_of_a_sensor_are_even_and_never_exceeded():
    drawn = Draws().amount(UncertainAmount(10.0, below=1.0, above=3.0, sensors=GAUGE))
    assert (drawn.min(), drawn.max()) == (pytest.approx(9, abs=0.01), pytest.approx(13, abs=0.01))
    assert bounds(drawn)[1] == pytest.approx(10 + 0.95 * 3, abs=0.02)


def test_points_on_one_sensor_share_its_error():
    draws = Draws(1000)
    one, other = (
        draws.amount(UncertainAmount(mean, below=0.1 * mean, above=0.1 * mean, sensors=GAUGE)) for mean in (10, 20)
    )
    assert other == pytest.approx(2 * one)
    elsewhere = draws.amount(UncertainAmount(10, below=1, above=1, sensors=(("other/package", 1.0),)))
    assert abs(np.corrcoef(one, elsewhere)[0, 1]) < 0.2


def test_machines_under_one_tariff_share_the_draws_of_its_ranges():
    tariff = read_tariff({**EVERYTHING, "range": {"price_per_kwh": [0.1, 0.5]}})
    draws = Draws(1000)
    one, other = (draws.machine(tariff, EXACT).per_hour(1.0) for _ in range(2))
    assert (one == other).all()


def test_draws_are_repeatable():
    assert (Draws(10).amount(UncertainAmount(1, 1, 2)) == Draws(10).amount(UncertainAmount(1, 1, 2))).all()


def test_power_follows_the_measured_loads_at_one_utilization_and_at_many():
    loads = ((0.25, UncertainAmount(500.0)),)
    machine = Draws(3).machine(Tariff(capital=0, price_per_kwh=1), MachineInputs(*vars_of(EXACT), loads))
    model = HourlyModel(0, 1, 1, ((0.0, 200.0), (0.25, 500.0), (1.0, 800.0)), 40)
    many = np.array([0.1, 0.25, 0.9])
    assert machine.watts(many) == pytest.approx([model.watts(each) for each in many])
    assert machine.watts(0.9) == pytest.approx(np.full(3, model.watts(0.9)))


def vars_of(inputs):
    return inputs.joules, inputs.rate, inputs.idle_watts


def test_without_idle_power_full_use_has_its_cost():
    machine = Draws(2).machine(
        Tariff(capital=0, price_per_kwh=0.36, pue=1), MachineInputs(EXACT.joules, EXACT.rate, None)
    )
    assert machine.per_unit(1.0) == pytest.approx(np.full(2, 20 * 1e-7))


def test_a_draw_without_capacity_costs_without_limit():
    machine = HourlyDraws(
        np.ones(2), np.ones(()), np.ones(()), (0.0, 1.0), (np.ones(2), np.ones(2)), np.array([1.0, -1.0])
    )
    assert machine.per_unit(1.0)[1] == np.inf
    assert bounds(machine.per_unit(1.0))[1] is None


def test_the_interval_contains_the_true_cost_in_95_of_100_simulated_measurements():
    joules, rate, idle, repeats, bound = 30.0, 20.0, 200.0, 5, 0.05
    tariff = Tariff(capital=20_000, price_per_kwh=0.3, pue=1.3)
    point = PointCost(Interval(joules), Interval(rate), Interval(idle))
    true = price_point(tariff.with_values({"utilization": 0.3}), point).allocation.per_inference.total.mean
    random, contained = np.random.default_rng(1), 0
    for seed in range(200):
        bias = 1 + random.uniform(-bound, bound)  # of the sensor, in every energy of this measurement
        energies = joules * bias * (1 + 0.05 * random.standard_normal(repeats))
        rates = rate * (1 + 0.03 * random.standard_normal(repeats))

        def measured(values, share):
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
            limit = share * values.mean()
            return UncertainAmount(values.mean(), error, len(values) - 1, limit, limit, GAUGE if share else ())

        inputs = MachineInputs(measured(energies, bound), measured(rates, 0), measured(np.array([idle * bias]), bound))
        low, high = bounds(Draws(5000, seed).machine(tariff, inputs).per_unit(0.3))
        contained += low <= true <= high
    assert 0.93 <= contained / 200 <= 0.99
