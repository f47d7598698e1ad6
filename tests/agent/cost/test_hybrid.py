"""The best split of owned and rented work is the one that a search over everything finds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cost.demand import Demand, DemandError, Step, constant, parse_day, with_prices
from agent.cost.hourly import HourlyModel
from agent.cost.hybrid import Machine, best_split, machines_for, owned_alone, owned_year
from agent.cost.offers import Offer
from agent.cost.rented import HOURS_PER_YEAR, Mix, rental, rented_work

MODEL = HourlyModel(1.0, 0.25, 1.2, ((0.0, 200.0), (0.5, 500.0), (1.0, 800.0)), 10)
MACHINE = Machine(MODEL, capital=30_000, recovery_per_year=7500, life_years=4)
ROOMY = replace(MACHINE, headroom=0.2)


def demand_of(rates: list[int]) -> Demand:
    return Demand(tuple(Step(3600, rate) for rate in rates), "given")


def rent(offer: Offer, demand: Demand) -> Any:
    return rented_work(rental(offer, Mix(output_tokens=100)), demand)


def test_machines_share_the_demand_up_to_their_capacity_without_the_headroom() -> None:
    assert machines_for(20, MACHINE.usable) == 2
    assert machines_for(20, ROOMY.usable) == 3
    year = owned_year(ROOMY, constant(16), 2)
    assert year.fixed == 2 * HOURS_PER_YEAR
    assert year.energy == pytest.approx(2 * HOURS_PER_YEAR * 0.25 * 1.2 * 0.680)
    assert year.cost == year.fixed + year.energy
    assert owned_year(ROOMY, constant(500), 2).energy == pytest.approx(year.energy)  # the rest is not theirs
    assert owned_year(ROOMY, constant(16), 0).cost == 0


def test_the_least_demand_needs_one_machine() -> None:
    assert [machines_for(rate, 10.0) for rate in (0.0, 1e-12, 10.0, 10.1)] == [0, 1, 1, 2]
    assert owned_alone(MACHINE, constant(2e-9)).owned.fixed == HOURS_PER_YEAR


def test_spares_share_the_load_and_cost_as_much_as_the_others() -> None:
    with_spare = owned_alone(replace(MACHINE, spares=1), constant(20)).owned
    assert with_spare.machines == 3
    assert with_spare.fixed == 3 * HOURS_PER_YEAR
    assert with_spare.energy == pytest.approx(3 * HOURS_PER_YEAR * 0.25 * 1.2 * MODEL.watts(2 / 3) / 1000)
    assert owned_year(replace(MACHINE, spares=1), constant(20), 0).machines == 0


def test_machines_are_sized_for_the_peaks_within_a_step() -> None:
    assert machines_for(20, replace(MACHINE, peak_factor=2.5).usable) == 5
    assert machines_for(20, replace(ROOMY, peak_factor=2).usable) == 5


def test_an_idle_hour_costs_idle_power() -> None:
    half = owned_alone(MACHINE, demand_of([10, 0]))
    assert half.owned.machines == 1
    assert half.cost == half.owned.cost
    assert half.owned.energy == pytest.approx(HOURS_PER_YEAR * 0.25 * 1.2 * (0.8 + 0.2) / 2)


def test_energy_is_paid_at_the_price_of_its_time() -> None:
    day = parse_day("time,requests_per_second\n00:00,2\n12:00,8")
    dear_noon = with_prices(day, ((0, 12, 0.5), (12, 24, 1.5)))
    year = owned_year(MACHINE, dear_noon, 1)
    hour = 0.5 * 0.5 * MODEL.energy_per_hour(0.2) + 0.5 * 1.5 * MODEL.energy_per_hour(0.8)
    assert year.energy == pytest.approx(HOURS_PER_YEAR * hour)
    assert year.fixed == owned_year(MACHINE, day, 1).fixed


def test_the_base_load_is_owned_and_the_peak_rented() -> None:
    demand = demand_of([*[9] * 22, 28, 28])
    offer = Offer(name="cloud", price_per_hour=4, requests_per_second=10)
    best = best_split(MACHINE, demand, rent(offer, demand))
    assert best.owned.machines == 1
    assert best.rented is not None
    assert best.rented.hours == pytest.approx(2 * 2 * 365)
    assert best.rented.instances == 2
    assert best.cost < owned_alone(MACHINE, demand).cost


def test_at_least_the_confidential_machines_are_owned() -> None:
    demand = constant(30)
    free = rent(Offer(name="free", price_per_hour=0, requests_per_second=10), demand)
    assert best_split(MACHINE, demand, free).owned.machines == 0
    assert best_split(MACHINE, demand, free, least=2).owned.machines == 2
    assert best_split(MACHINE, demand, free, least=5).owned.machines == 5


def test_too_many_machines_are_refused_with_the_way_out() -> None:
    demand = Demand(tuple(Step(1, rate) for rate in range(1, 1001)), "given").times(1000)
    with pytest.raises(
        DemandError, match="needs 100,000 machines, which are too many to compare: give a part of the demand"
    ):
        best_split(MACHINE, demand, rent(Offer(name="a", price_per_million_output_tokens=1), demand))


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=10).filter(any),
    st.floats(0.05, 20),
    st.floats(0.5, 20),
    st.sampled_from([600, 3600, 3 * 3600]),
    st.sampled_from([0, 1200]),
    st.sampled_from([0.0, 0.2]),
    st.booleans(),
)
def test_the_best_split_is_that_of_a_search_over_every_number_of_machines(
    rates: list[int], price: float, capacity: float, step: int, load: int, headroom: float, is_api: bool
) -> None:
    """The search rents instance by instance, span by span, and joins spans in every way."""
    demand = demand_of(rates)
    offer = (
        Offer(name="api", price_per_million_output_tokens=price)
        if is_api
        else Offer(
            name="cloud",
            price_per_hour=price,
            requests_per_second=capacity,
            billing_step_seconds=step,
            load_seconds=load,
        )
    )
    best = best_split(replace(MACHINE, headroom=headroom), demand, rent(offer, demand))
    usable = 10 * (1 - headroom)
    costs = []
    for machines in range(math.ceil(max(rates) / usable) + 1):
        owned = [min(rate, machines * usable) for rate in rates]
        power = (
            sum(machines * MODEL.watts(min(1 - headroom, rate / 10 / machines)) for rate in owned) if machines else 0
        )
        yearly = 8760 * (machines * 1.0 + 0.25 * 1.2 * power / 1000 / len(rates))
        excess = [rate - own for rate, own in zip(rates, owned, strict=True)]
        if is_api:
            rented = sum(excess) * 3600 * 100 * price / 1e6
        else:
            counts = [math.ceil(round(each / capacity, 9)) for each in excess]
            rented = sum(instance_hours(counts, each, step, load) for each in range(1, max(counts) + 1)) * price
        costs.append(yearly + rented / len(rates) * 8760)
    assert best.cost == pytest.approx(min(costs))


def instance_hours(counts: list[int], instance: int, step: int, load: int) -> float:
    """Return the least hours of one instance for hours in which a number of instances is needed."""
    hours = len(counts)
    needed = [count >= instance for count in counts]
    if all(needed):
        return hours
    lengths = [next(k for k in range(1, hours + 1) if needed[(place - k) % hours]) for place in range(hours)]
    after = max((place for place in range(hours) if needed[place]), key=lambda place: (lengths[place], -place))
    order = [needed[(after + place) % hours] for place in range(hours)]
    best = [0.0, *[math.inf] * hours]  # by the number of hours that are done
    for start in range(hours):
        if not order[start]:
            best[start + 1] = min(best[start + 1], best[start])
        else:
            for end in range(start + 1, hours + 1):
                billed = math.ceil(((end - start) * 3600 + load) / step) * step / 3600
                best[end] = min(best[end], best[start] + billed)
    return min(best[hours], hours)
