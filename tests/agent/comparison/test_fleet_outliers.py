"""Machines apart from their siblings: the test, its correction, and its errors over many machines."""

from __future__ import annotations

import math
import random
from statistics import fmean, variance

import pytest

from agent.comparison.fleet_outliers import OUTLIER_SHARE, outliers
from agent.energy.student import t_beyond, t_quantile
from fleet_points import machine_named
from store.fleet_records import SiblingGroup


def group(host: str, energies: list[float], others: list[float]) -> SiblingGroup:
    """Return the energies of the days of a host and the means of its siblings, in joules, as a query does."""
    own, means = ([math.log(each) for each in values] for values in (energies, others))
    sums = (len(own), fmean(own), variance(own), len(means), fmean(means), variance(means))
    return SiblingGroup(machine_named(host), *sums)


def candidates(fleet: dict[str, list[float]]) -> list[SiblingGroup]:
    """Return the machines of a fleet that a query returns: those `OUTLIER_SHARE` above their siblings."""
    means = {host: math.exp(fmean(map(math.log, energies))) for host, energies in fleet.items()}
    found = []
    for host, energies in fleet.items():
        each = group(host, energies, [mean for name, mean in means.items() if name != host])
        if each.mean - each.siblings_mean >= math.log1p(OUTLIER_SHARE):
            found.append(each)
    return found


def test_a_machine_that_needs_20_percent_more_is_an_outlier_with_its_interval() -> None:
    energies, others = [2.39, 2.4, 2.41], [1.98, 1.99, 2.0, 2.01, 2.02]
    [found] = outliers([group("hot", energies, others)], 6)
    assert found.place.host == "hot"
    assert found.ratio.mean == pytest.approx(1.2, rel=1e-3)
    assert 1.1 < found.ratio.lower < found.ratio.mean < found.ratio.upper < 1.3
    assert (found.days, found.siblings) == (3, 5)
    own, means = ([math.log(each) for each in values] for values in (energies, others))
    parts = variance(own) / 3, variance(means) * (1 + 1 / 5)
    degrees = math.floor(sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 4))
    difference, error = fmean(own) - fmean(means), math.sqrt(sum(parts))
    assert math.log(found.ratio.lower) == pytest.approx(difference - t_quantile(degrees) * error)
    assert found.p == pytest.approx(6 * t_beyond(difference / error, degrees))


def test_a_machine_within_the_spread_of_its_siblings_is_no_outlier_however_well_it_is_known() -> None:
    others = [2.0 * (1 + 0.1 * step) for step in (-1.5, -1, -0.5, 0, 0.5, 1, 1.5)] * 3
    assert outliers([group("warm", [2.35, 2.3501, 2.3499] * 10, others)], 1) == ()


def test_a_machine_whose_days_scatter_too_much_is_no_outlier() -> None:
    assert outliers([group("noisy", [1.8, 2.4, 3.2], [1.98, 1.99, 2.0, 2.01])], 5) == ()


def test_a_machine_among_siblings_that_scatter_too_much_is_no_outlier() -> None:
    assert outliers([group("one", [2.6, 2.61, 2.62], [1.0, 2.0, 4.0])], 4) == ()


def test_p_is_corrected_for_all_tested_machines() -> None:
    weak = group("one", [2.3, 2.4, 2.5], [1.98, 2.0, 2.02, 2.04])
    assert len(outliers([weak], 1)) == 1
    assert outliers([weak], 1000) == ()


def test_the_largest_ratio_is_first() -> None:
    others = [1.98, 1.99, 2.0, 2.01, 2.02]
    found = outliers([group("warm", [2.3, 2.31, 2.32], others), group("hot", [3.0, 3.01, 3.02], others)], 7)
    assert [each.place.host for each in found] == ["hot", "warm"]


@pytest.mark.parametrize(
    ("spread", "scatter", "days"), [(0.06, 0.04, (3, 3)), (0.10, 0.01, (30, 30)), (0.02, 0.04, (3, 30))]
)
def test_healthy_fleets_have_an_outlier_in_less_than_a_twentieth_of_the_cases(
    spread: float, scatter: float, days: tuple[int, int]
) -> None:
    source, false = random.Random(1), 0
    for _ in range(200):
        fleet = {
            f"n{n}": [mean * source.gauss(1, scatter) for _ in range(days[n % 2])]
            for n in range(20)
            for mean in [2 * source.gauss(1, spread)]
        }
        false += bool(outliers(candidates(fleet), len(fleet)))
    assert false <= 10


def test_a_faulty_machine_of_a_usual_fleet_is_found() -> None:
    source, hits = random.Random(2), 0
    for _ in range(100):
        fleet = {
            f"n{n}": [mean * source.gauss(1, 0.01) for _ in range(10)]
            for n in range(20)
            for mean in [2 * source.gauss(1, 0.02)]
        }
        fleet["n7"] = [each * 1.2 for each in fleet["n7"]]
        hits += [each.place.host for each in outliers(candidates(fleet), len(fleet))] == ["n7"]
    assert hits >= 95
