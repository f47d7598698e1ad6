"""Costs of machines by work: order, intervals, and unknown values."""

from __future__ import annotations

import math

import pytest
from msgspec import structs

from agent.comparison.fleet_costs import work_costs
from agent.cost.interval import Interval
from agent.energy.student import t_quantile
from store.fleet_records import CostGroup, HostMean


def group(work: int = 1, values: tuple[str, ...] = ("EPYC", "ams"), **changes: object) -> CostGroup:
    facts = {
        "workload": "endpoint",
        "model": "llama",
        "precision": "fp16",
        "point": "rate=8",
        "boundary": "wall",
        "energy_source": "measured",
        "currency": "EUR",
        "cost_basis": "allocation",
        "unit": "output token",
        "hosts": 4,
        "profiles": 12,
        "cost": HostMean(4, 1.0, 0.04, 0.9, 1.2),
        "joules": HostMean(3, 2.0, 0.16, None, 2.5),
    }
    return CostGroup(work=work, values=values, **{**facts, **changes})


def test_an_interval_has_the_bounds_of_the_profiles_and_students_interval_between_hosts() -> None:
    [found] = work_costs([group()], ("hardware", "site"))
    [machines] = found.machines
    half = t_quantile(3) * math.sqrt(0.04 / 4)
    assert structs.astuple(machines.cost) == pytest.approx((1.0, 0.9 - half, 1.2 + half))
    half = t_quantile(2) * math.sqrt(0.16 / 3)
    assert machines.joules is not None
    assert (machines.joules.lower, machines.joules.upper) == (None, pytest.approx(2.5 + half))
    assert machines.group == {"hardware": "EPYC", "site": "ams"}
    assert (machines.hosts, machines.profiles, found.unit) == (4, 12, "output token")


def test_a_wide_interval_ends_at_0_and_one_host_has_the_bounds_of_its_profiles() -> None:
    wide_cost, single_cost = HostMean(4, 1.0, 9.0, 0.9, 1.1), HostMean(1, 1.0, None, 0.42, 1.58)
    groups = [group(cost=wide_cost, joules=None), group(2, hosts=1, cost=single_cost)]
    wide, single = (each.machines[0] for each in work_costs(groups, ("hardware", "site")))
    assert wide.cost is not None
    assert (wide.cost.lower, wide.joules) == (0.0, None)
    assert single.cost == Interval(1.0, 0.42, 1.58)


def test_many_hosts_do_not_average_out_the_bounds_of_an_estimate() -> None:
    [work] = work_costs([group(joules=HostMean(10_000, 1.0, 0.0001, 0.42, 1.58))], ("hardware", "site"))
    joules = work.machines[0].joules
    assert joules is not None
    assert (joules.lower, joules.upper) == (pytest.approx(0.42, abs=1e-3), pytest.approx(1.58, abs=1e-3))


def test_rounded_bounds_stay_around_the_mean() -> None:
    exact = HostMean(3, 0.1 + 0.2, 0.0, 0.3 + 1e-15, 0.3)
    [work] = work_costs([group(joules=exact)], ("hardware", "site"))
    joules = work.machines[0].joules
    assert joules is not None
    assert joules.lower <= joules.mean <= joules.upper


def test_the_work_of_the_most_profiles_is_first_and_its_machines_are_in_order() -> None:
    groups = [
        group(1, ("b", "x"), profiles=1, point="rate=1", unit="inference"),
        group(2, ("b", "x"), profiles=2),
        group(2, ("a", "y"), profiles=2),
    ]
    found = work_costs(groups, ("hardware", "site"))
    assert [each.point for each in found] == ["rate=8", "rate=1"]
    assert [list(each.group.values()) for each in found[0].machines] == [["a", "y"], ["b", "x"]]
    assert found[1].unit == "inference"
