"""Machines apart from their siblings: the test, its correction, and its errors over many machines."""

from __future__ import annotations

import math
import random
from statistics import fmean, variance
from typing import TYPE_CHECKING

import pytest

from agent.comparison.fleet_outliers import machines_apart, outliers
from agent.energy.student import t_beyond, t_quantile
from fleet_points import machine_named
from store.fleet_records import HostEnergy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.comparison.fleet_records import Outlier

EVEN = (1.98, 1.99, 2.0, 2.01, 2.02)


def found_in(fleet: Mapping[str, Sequence[float]], tests: int | None = None) -> tuple[Outlier, ...]:
    """Return the outliers of machines, each with the energies of its days in joules."""
    logs = {host: [math.log(each) for each in energies] for host, energies in fleet.items()}
    energies = [HostEnergy(1, host, len(own), fmean(own), variance(own)) for host, own in logs.items()]
    named = {(1, host): machine_named(host) for host in fleet}
    return outliers(machines_apart(energies, tests or len(fleet)), named)


def hosts_in(fleet: Mapping[str, Sequence[float]], tests: int | None = None) -> list[str]:
    return [each.place.host for each in found_in(fleet, tests)]


def steady(*means: float) -> dict[str, list[float]]:
    """Return machines with these means, whose three days scatter by 0.1 %."""
    return {f"n{at}": [mean * 0.999, mean, mean * 1.001] for at, mean in enumerate(means)}


def simulated(source: random.Random, hosts: int, spread: float, scatter: float, days: int) -> dict[str, list[float]]:
    return {
        f"n{n}": [mean * source.gauss(1, scatter) for _ in range(days)]
        for n in range(hosts)
        for mean in [2 * source.gauss(1, spread)]
    }


def test_a_machine_that_needs_20_percent_more_is_an_outlier_with_its_interval() -> None:
    energies = [2.39, 2.4, 2.41]
    [found] = found_in({"hot": energies, **steady(*EVEN)})
    assert found.place.host == "hot"
    assert found.ratio.mean == pytest.approx(1.2, rel=1e-3)
    assert found.ratio.lower is not None
    assert found.ratio.upper is not None
    assert 1.1 < found.ratio.lower < found.ratio.mean < found.ratio.upper < 1.3
    assert (found.days, found.siblings) == (3, 5)
    own = [math.log(each) for each in energies]
    means = [fmean(math.log(each) for each in days) for days in steady(*EVEN).values()]
    parts = variance(own) / 3, variance(means) * (1 + 1 / 5)
    degrees = math.floor(sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 4))
    difference, error = fmean(own) - fmean(means), math.sqrt(sum(parts))
    assert math.log(found.ratio.lower) == pytest.approx(difference - t_quantile(degrees) * error)
    assert found.p == pytest.approx(6 * t_beyond(difference / error, degrees))


def test_a_machine_that_needs_20_percent_less_is_an_outlier_too() -> None:
    [found] = found_in({"low": [1.59, 1.6, 1.61], **steady(*EVEN)})
    assert found.ratio.mean == pytest.approx(0.8, rel=1e-3)
    assert found.ratio.upper is not None
    assert found.ratio.upper < 1


@pytest.mark.parametrize(("energy", "is_found"), [(2.21, True), (2.19, False), (1.81, False), (1.79, True)])
def test_an_outlier_needs_10_percent_more_or_less(energy: float, is_found: bool) -> None:
    assert bool(found_in(steady(1.999, 2.0, 2.001, 2.0, 2.0, energy))) == is_found


def test_a_machine_within_the_spread_of_its_siblings_is_no_outlier_however_well_it_is_known() -> None:
    others = [2.0 * (1 + 0.1 * step) for step in (-1.5, -1, -0.5, 0, 0.5, 1, 1.5)] * 3
    assert found_in({"warm": [2.35, 2.3501, 2.3499] * 10, **steady(*others)}) == ()


def test_a_machine_whose_days_scatter_too_much_is_no_outlier() -> None:
    assert found_in({"noisy": [1.8, 2.4, 3.2], **steady(1.98, 1.99, 2.0, 2.01)}) == ()


def test_a_machine_among_siblings_that_scatter_too_much_is_no_outlier() -> None:
    assert found_in({"one": [2.6, 2.61, 2.62], **steady(1.0, 2.0, 4.0)}) == ()


def test_p_is_corrected_for_all_tested_machines() -> None:
    weak = {"one": [2.3, 2.4, 2.5], **steady(1.98, 2.0, 2.02, 2.04)}
    assert hosts_in(weak) == ["one"]
    assert found_in(weak, 1000) == ()


def test_the_largest_ratio_is_first_and_each_p_is_that_of_the_machines_that_are_left() -> None:
    warm, hot = [2.4, 2.41, 2.42], [4.0, 4.01, 4.02]
    both = found_in({"warm": warm, "hot": hot, **steady(*EVEN)})
    assert [(each.place.host, each.siblings) for each in both] == [("hot", 6), ("warm", 5)]
    [alone] = found_in({"warm": warm, **steady(*EVEN)})
    assert both[1].ratio == alone.ratio
    assert both[1].p == max(both[0].p, alone.p)  # seven tests less the one before


def test_setups_are_compared_apart() -> None:
    energies = [
        HostEnergy(setup, host, 3, math.log(fmean(days)) + setup, 1e-6)
        for setup, fleet in ((1, steady(*EVEN)), (2, steady(*EVEN, 3.0)))
        for host, days in fleet.items()
    ]
    assert [(each.energy.setup, each.energy.host_id) for each in machines_apart(energies, 11)] == [(2, "n5")]


def test_half_of_the_machines_are_never_outliers() -> None:
    assert found_in(steady(1.0, 1.0, 1.0, 2.0, 2.0, 2.0)) == ()
    assert len(found_in(steady(1.0, 1.001, 1.002, 1.003, 8.0, 64.0, 512.0))) <= 3


@pytest.mark.parametrize(("spread", "scatter", "days"), [(0.06, 0.04, 3), (0.06, 0.01, 30), (0.02, 0.04, 3)])
def test_healthy_fleets_have_an_outlier_in_few_cases(spread: float, scatter: float, days: int) -> None:
    source, cases = random.Random(1), 200
    false = sum(bool(found_in(simulated(source, 20, spread, scatter, days))) for _ in range(cases))
    assert false <= 0.08 * cases  # 5 %, and two standard errors


@pytest.mark.parametrize(
    "others", [{}, {3: 1 / 8}, {3: 1 / 2}, {3: 2.0}, {3: 8.0}, {3: 0.8}, {8: 1.25}, {3: 8.0, 8: 1 / 8}]
)
def test_a_faulty_machine_is_found_beside_others(others: dict[int, float]) -> None:
    source, cases = random.Random(2), 40
    planted, hits = {7: 1.25, **others}, 0
    for _ in range(cases):
        fleet = simulated(source, 20, 0.02, 0.01, 10)
        for number, factor in planted.items():
            fleet[f"n{number}"] = [each * factor for each in fleet[f"n{number}"]]
        hits += set(hosts_in(fleet)) == {f"n{number}" for number in planted}
    assert hits >= 0.95 * cases
