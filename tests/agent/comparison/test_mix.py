"""The cheapest mix of machines equals brute force, and refuses inputs without an answer."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.comparison.mix import MixError, cheapest_mix
from machine_models import machine

_STEPS = 60


def brute_force(machines, demand) -> float:
    """The least cost of an hour over all numbers of machines, for linear curves: cheapest load first."""
    least = float("inf")
    most = [int(demand / each.model.capacity) + 2 for each in machines]
    for counts in product(*(range(each) for each in most)):
        left, cost = demand, 0.0
        models = [each.model for each in machines]
        for count, model in sorted(zip(counts, models, strict=True), key=lambda pair: marginal(pair[1])):
            load = min(left, count * model.capacity)
            left -= load
            cost += count * model.per_hour(0) + load * marginal(model)
        if left <= 1e-9 * demand:
            least = min(least, cost)
    return least


def marginal(model) -> float:
    return (model.per_hour(1) - model.per_hour(0)) / model.capacity


machines = st.builds(
    machine,
    fixed=st.floats(0.01, 5),
    idle=st.floats(10, 300),
    busy=st.floats(301, 1500),
    capacity=st.floats(3, 40),
)


@settings(max_examples=25)
@given(st.lists(machines, min_size=1, max_size=3), st.floats(1, 60))
def test_the_mix_costs_as_much_as_the_best_of_all_mixes(found, demand) -> None:
    mix = cheapest_mix(found, demand)
    assert mix.cost_per_hour == pytest.approx(brute_force(found, demand), rel=1e-5)
    assert sum(part.load for part in mix.parts) == pytest.approx(demand, rel=1e-6)
    assert all(part.utilization <= 1 + 1e-6 for part in mix.parts)


@pytest.mark.parametrize("demand", [2.0, 7.5, 16.0, 22.0, 31.0])
def test_the_mix_is_exact_for_a_curve_with_a_bend(demand) -> None:
    """A machine that saves power only at low load: the loads of one, two or three machines are searched in steps."""
    bent = machine(curve=((0.0, 50.0), (0.5, 100.0), (1.0, 900.0)), fixed=0.01, capacity=15.0)
    steps = [bent.model.per_hour(step / _STEPS) for step in range(_STEPS + 1)]
    units = -(-demand * _STEPS // 15.0)  # the demand in steps, rounded up
    best = {0: 0.0}
    for _ in range(5):
        new = dict(best)
        for used, cost in best.items():
            for step, price in enumerate(steps):
                total = min(used + step, units)
                new[total] = min(new.get(total, float("inf")), cost + price)
        best = new
    steepest = max(after - before for before, after in pairwise(steps))  # of rounding the demand up to a step
    found = cheapest_mix([bent], demand).cost_per_hour
    assert best[units] - steepest <= found <= best[units] * (1 + 1e-6)


def test_the_mix_names_its_machines_and_the_cost_of_one_kind_alone() -> None:
    large, small = machine("A", fixed=4, capacity=100), machine("B", fixed=0.5, capacity=10, notes=("best point",))
    mix = cheapest_mix([large, small], 105.0)
    assert [(part.setup, part.count) for part in mix.parts] == [("A", 1), ("B", 1)]
    assert mix.single["A"] > mix.cost_per_hour
    assert mix.single["B"] > mix.cost_per_hour
    assert mix.notes == ("B: best point",)
    assert mix.cost_per_million_inferences == pytest.approx(mix.cost_per_hour / 105 / 3600 * 1e6)


def test_inputs_without_a_mix_are_refused() -> None:
    with pytest.raises(MixError, match="no machine"):
        cheapest_mix([], 1.0)
    with pytest.raises(MixError, match="give a number above 0"):
        cheapest_mix([machine()], 0.0)
    with pytest.raises(MixError, match="currencies"):
        cheapest_mix([machine(), machine(currency="USD")], 1.0)
    with pytest.raises(MixError, match="not a demand"):
        cheapest_mix([machine()], float("inf"))
    with pytest.raises(MixError, match="the solver found no mix"):
        cheapest_mix([machine()], 1e300)
