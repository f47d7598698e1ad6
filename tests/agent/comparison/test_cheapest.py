"""The cheapest setup by demand: exact limits, whole machines, capacities under a service level, and refusals."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.comparison.cheapest import cheapest_by_load, fleet_cost, machines_for, ranges
from agent.comparison.machines import JOULES, limited, machine, machines
from agent.comparison.matching import IncomparableError
from agent.comparison.mix import MixError, mix_of
from agent.comparison.setups import group, named
from agent.profiling.pricing import NoCostError, price_document
from agent.profiling.records import Baseline, Document
from agent.profiling.serving_records import ServiceLevel
from compared_documents import PRICES, profile
from machine_models import machine as modelled
from profile_documents import example
from serving_documents import FOUND, LEVEL, OPEN, served

IDLE = msgspec.convert(example()["baselines"], tuple[Baseline, ...])
SERVED = structs.replace(price_document(msgspec.convert(served(OPEN, FOUND), Document), PRICES), baselines=IDLE)


def models(**own):
    return {label: modelled(label, **facts).model for label, facts in own.items()}


def test_the_cheapest_changes_at_the_demand_where_the_costs_are_equal() -> None:
    """A: 1 an hour and 0.25 per kWh, 100 to 400 W; B: twice the price of the machine, but no power at all."""
    found = ranges(models(A={"idle": 0.0, "busy": 8000.0, "capacity": 10.0}, B={"fixed": 2.0, "idle": 0, "busy": 0}))
    assert [(each.cheapest, each.lower) for each in found] == [("A", 0.0), ("B", pytest.approx(5.0))]
    assert found[-1].upper == 10.0


def test_whole_machines_give_several_ranges() -> None:
    """B costs 1.5 for 20/s; one A costs 1 for 10/s, two cost 2."""
    no_power = {"idle": 0.0, "busy": 0.0}
    found = ranges(models(A={**no_power, "capacity": 10.0}, B={**no_power, "fixed": 1.5, "capacity": 20.0}))
    assert [(each.cheapest, each.lower, each.upper) for each in found] == [("A", 0, 10), ("B", 10, 20)]


curves = st.builds(
    modelled,
    fixed=st.floats(0.1, 3),
    idle=st.floats(0, 500),
    busy=st.floats(500, 3000),
    capacity=st.floats(2, 40),
)


@given(curves, curves, st.floats(0.001, 1))
def test_the_range_of_each_demand_names_the_cheapest(one, other, share) -> None:
    both = {"A": one.model, "B": other.model}
    found = ranges(both)
    demand = share * found[-1].upper
    named = next(each.cheapest for each in found if demand <= each.upper)
    costs = {label: fleet_cost(model, demand) for label, model in both.items()}
    assert costs[named] <= min(costs.values()) * (1 + 1e-6)
    assert [each.lower for each in found[1:]] == [each.upper for each in found[:-1]]


def test_a_rounding_error_adds_no_machine() -> None:
    assert (machines_for(0.1 + 0.2, 0.1), machines_for(0.31, 0.1), machines_for(1e-9, 0.1)) == (3, 4, 1)


def test_setups_are_compared_in_money_or_in_joules_without_prices() -> None:
    found, reasons = cheapest_by_load(group([profile(0), profile(1, precision="int8", speed=2.0)]))
    assert (found.unit, reasons) == ("EUR", ())
    assert [each.cheapest for each in found.ranges][-1] == "B"
    assert found.capacities["B"] == pytest.approx(2 * found.capacities["A"])
    assert all("--find-max" in note for note in found.notes)
    bare = [profile(0, tariff=None), profile(1, precision="int8", tariff=None, energy=0.5)]
    found, _ = cheapest_by_load(group(bare))
    assert (found.unit, [each.cheapest for each in found.ranges][-1]) == (JOULES, "B")


def test_the_energy_of_an_hour_is_in_joules_without_prices() -> None:
    setup = group([profile(0, tariff=None), profile(1, precision="int8")])[0]
    model = machine(setup, in_joules=True).model
    assert model.per_hour(1.0) == pytest.approx(3600 * model.watts(1.0))
    with pytest.raises(NoCostError, match="no prices are given"):
        machine(setup)


def test_the_machine_of_several_profiles_has_their_median_capacity() -> None:
    fast, middle, slow = (profile(n, speed=speed) for n, speed in enumerate((1.2, 1.0, 0.8)))
    cold = structs.replace(profile(9), baselines=())
    for documents in ([fast, slow, middle], [slow, cold, middle, fast], [cold, middle, fast]):
        found = machine(named([documents, [profile(8, precision="int8")]])[0])
        assert found.model.capacity == pytest.approx(middle.points[-1].inferences_per_second.mean)


def test_headroom_lowers_the_capacity_and_not_the_power_at_a_load() -> None:
    tariff = structs.replace(PRICES, headroom=0.25)
    whole, kept = (
        machine(group([profile(0, tariff=each), profile(1, precision="int8")])[0]) for each in (PRICES, tariff)
    )
    assert kept.model.capacity == pytest.approx(0.75 * whole.model.capacity)
    assert kept.model.watts(1.0) == pytest.approx(whole.model.watts(0.75))
    assert kept.model.watts(0.5) == pytest.approx(whole.model.watts(0.375))
    assert "headroom of the tariff" in kept.notes[-1]
    bent = limited(modelled(curve=((0.0, 1.0), (0.2, 5.0), (0.5, 6.0), (1.0, 9.0))).model, 0.5)
    assert bent.curve == ((0.0, 1.0), (0.4, 5.0), (1.0, 6.0))


@pytest.mark.parametrize("changes", [{"spares": 1}, {"peak_factor": 2.0}])
def test_spares_and_the_peak_factor_are_noted_as_not_counted(changes) -> None:
    tariff = structs.replace(PRICES, **changes)
    found = machine(group([profile(0, tariff=tariff), profile(1, precision="int8")])[0])
    assert "peak_factor and the spares of the tariff do not count" in found.notes[-1]


def test_estimates_of_two_hosts_and_two_currencies_have_no_cheapest_setup() -> None:
    estimated = [profile(n, host=f"h{n}", source="estimated") for n in (0, 1)]
    assert "estimated and the machines differ" in cheapest_by_load(group(estimated))[1][-1]
    assert cheapest_by_load(group(estimated), force=True)[0] is not None
    money = [profile(0), profile(1, precision="int8", tariff=structs.replace(PRICES, currency="USD"))]
    assert "currencies differ" in cheapest_by_load(group(money))[1][-1]
    cold = structs.replace(profile(1, precision="int8"), baselines=())
    found, reasons = cheapest_by_load(group([profile(0), cold]))
    assert found is None
    assert reasons == (f"B is left out: profile {cold.id} has no idle power with the model loaded",)


def test_the_capacity_under_a_service_level_is_the_highest_rate_that_met_it() -> None:
    setup = group([SERVED, structs.replace(SERVED, id="other", created="2026-02-01")])[0]
    found = machine(setup, LEVEL)
    assert found.notes == ()
    point = SERVED.points[0]
    assert point.name == FOUND.point
    assert found.model.capacity == pytest.approx(point.inferences_per_second.mean * point.serving.goodput.attained)
    looser = ServiceLevel(0.9, ttft_seconds=1.0)
    assert machine(setup, looser).model.capacity == found.model.capacity
    strict = (
        ServiceLevel(0.95, ttft_seconds=1.0),
        ServiceLevel(0.9, ttft_seconds=0.1),
        ServiceLevel(0.9, e2e_seconds=9),
    )
    for stricter in strict:
        with pytest.raises(NoCostError, match="--find-max"):
            machine(setup, stricter)
    unconfirmed = group([structs.replace(SERVED, sustainable_rate=None), profile(0)])[0]
    assert "highest measured rate" in machine(unconfirmed, LEVEL).notes[0]
    assert machines(group([SERVED, profile(0)]), LEVEL)[1][0].startswith("B is left out")


@pytest.mark.system
def test_a_mix_of_setups_states_its_reasons() -> None:
    setups = group([profile(0), profile(1, precision="int8", speed=2.0)])
    found = mix_of(setups, 100.0)
    assert [(part.setup, part.count) for part in found.parts] == [("B", 1)]
    with pytest.raises(MixError, match=r"A is left out: .*; B is left out"):
        mix_of(setups, 100.0, LEVEL)
    estimated = group([profile(n, host=f"h{n}", source="estimated") for n in (0, 1)])
    with pytest.raises(IncomparableError, match="estimated and the machines differ"):
        mix_of(estimated, 1.0)
    assert mix_of(estimated, 1.0, force=True).incomparable == ("the energy is estimated and the machines differ",)
    long = profile(1, precision="int8")
    points = tuple(structs.replace(each, input_tokens_per_inference=90.0) for each in long.points)
    with pytest.raises(IncomparableError, match="the prompts at the capacity differ"):
        mix_of(group([profile(0), structs.replace(long, points=points)]), 1.0)
