"""Owning wins in the share of draws in which its cost is below the rent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent.cost.chances import owned_cost, owning_wins
from agent.cost.demand import Demand, Step, constant, parse_day, with_prices
from agent.cost.draws import HourlyDraws
from agent.cost.hourly import HourlyModel
from agent.cost.hybrid import Machine, owned_alone

MODEL = HourlyModel(1.0, 0.25, 1.2, ((0.0, 200.0), (0.5, 500.0), (1.0, 800.0)), 10)
MACHINE = Machine(MODEL, capital=30_000, recovery_per_year=7500, life_years=4, headroom=0.2, spares=1)


def drawn(fixed: list[float], capacity: list[float]) -> HourlyDraws:
    """Draws of the machine with these costs of an hour and capacities."""
    ones = np.ones(len(fixed))
    watts = tuple(each * ones for _, each in MODEL.curve)
    return HourlyDraws(np.array(fixed), 0.25 * ones, 1.2 * ones, (0.0, 0.5, 1.0), watts, np.array(capacity))


def test_certain_inputs_give_the_cost_of_own_machines() -> None:
    for demand in (constant(23), Demand((Step(1000, 3), Step(500, 23), Step(20, 0)), "given")):
        costs = owned_cost(MACHINE, drawn([1.0, 1.0], [10, 10]), demand)
        assert costs == pytest.approx([owned_alone(MACHINE, demand).cost] * 2)


def test_energy_is_paid_at_the_price_of_its_time_and_may_be_free() -> None:
    day = parse_day("time,requests_per_second\n00:00,2\n12:00,8")
    for prices in (((0, 12, 0.5), (12, 24, 1.5)), ((0, 12, 0.0), (12, 24, 2.0))):
        demand = with_prices(day, prices)
        costs = owned_cost(MACHINE, drawn([1.0], [10]), demand)
        assert costs == pytest.approx([owned_alone(MACHINE, demand).cost])


def test_many_levels_are_merged_with_little_effect() -> None:
    demand = Demand(tuple(Step(300, 1 + 0.05 * step) for step in range(288)), "given")
    machine = replace(MACHINE, spares=0)
    assert owned_cost(machine, drawn([1.0], [10]), demand) == pytest.approx(
        [owned_alone(machine, demand).cost], rel=1e-3
    )


def test_the_number_of_machines_stays_and_a_machine_is_at_most_busy() -> None:
    costs = owned_cost(replace(MACHINE, spares=0), drawn([1.0, 1.0, 1.0], [10, 0.1, -1]), constant(8))
    busy = 8760 * (1 + 0.25 * 1.2 * 0.8)
    assert costs == pytest.approx([8760 * (1 + 0.25 * 1.2 * 0.68), busy, busy])


def test_owning_wins_in_the_draws_in_which_it_is_cheaper() -> None:
    costs = np.array([1.0, 2.0, 3.0, 4.0])
    assert owning_wins(costs, {"dear": 9.0, "even": 3.0, "free": 0.0}) == {"dear": 1.0, "even": 0.5, "free": 0.0}
