"""Lasting changes of one machine: the split, its test, and its errors over many machines."""

from __future__ import annotations

import math
import random
from statistics import fmean, variance

import pytest

from agent.comparison.fleet_drift import best_split, drifts
from agent.energy.student import t_beyond
from fleet_points import DAY_NS, START_NS, machine_named
from store.fleet_records import EnergySeries


def series(host: str, energies: list[float], versions: tuple[str, ...] = ()) -> EnergySeries:
    times = tuple(START_NS + day * DAY_NS for day in range(len(energies)))
    return EnergySeries(
        machine_named(host), times, tuple(map(math.log, energies)), versions or ("0.1.0",) * len(energies)
    )


STEP = [2.0, 2.01, 1.99, 2.0, 2.2, 2.21, 2.19, 2.2]


def test_a_step_is_found_with_its_day_its_size_and_its_interval() -> None:
    [found] = drifts([series("node", STEP)], 1)
    assert (found.previous, found.since) == ("2026-01-04T00:00:00+00:00", "2026-01-05T00:00:00+00:00")
    assert found.ratio.mean == pytest.approx(1.1, rel=1e-3)
    assert 1.08 < found.ratio.lower < found.ratio.mean < found.ratio.upper < 1.12
    assert (found.days_before, found.days_after, found.upgrade) == (4, 4, None)
    assert found.p < 0.001


def test_a_decrease_is_drift_too() -> None:
    [found] = drifts([series("node", STEP[::-1])], 1)
    assert found.ratio.mean == pytest.approx(1 / 1.1, rel=1e-3)


def test_a_change_of_less_than_5_percent_is_no_drift() -> None:
    assert drifts([series("node", [2.0, 2.001, 1.999, 2.0, 2.08, 2.081, 2.079, 2.08])], 1) == ()


def test_an_upgrade_of_the_program_at_the_change_is_named() -> None:
    [found] = drifts([series("node", STEP, ("0.1.0",) * 4 + ("0.2.0",) * 4)], 1)
    assert found.upgrade == "0.1.0 to 0.2.0"
    [found] = drifts([series("node", STEP, ("0.1.0",) * 2 + ("0.2.0",) * 6)], 1)
    assert found.upgrade is None


def test_p_is_corrected_for_the_moments_and_for_all_tested_machines() -> None:
    noisy = [2.0, 2.1, 1.9, 2.0, 2.3, 2.4, 2.2, 2.3]
    logs = [math.log(each) for each in noisy]
    split = best_split(logs)
    assert split.at == 4
    error = math.sqrt((variance(logs[:4]) + variance(logs[4:])) / 2 * (1 / 4 + 1 / 4))
    student = t_beyond((fmean(logs[4:]) - fmean(logs[:4])) / error, 6)
    assert split.ratio.p == pytest.approx(3 * student)
    assert len(drifts([series("node", noisy)], 1)) == 1
    assert drifts([series("node", noisy)], 1000) == ()


def test_the_largest_change_is_first() -> None:
    larger = [each * 1.2 if day >= 4 else each for day, each in enumerate(STEP)]
    found = drifts([series("small", STEP), series("large", larger)], 2)
    assert [each.place.host for each in found] == ["large", "small"]


@pytest.mark.parametrize(("values", "p"), [([1.0] * 6, 1.0), ([1.0] * 3 + [2.0] * 3, 0.0)])
def test_values_without_scatter_have_a_certain_answer(values: list[float], p: float) -> None:
    assert best_split(values).ratio.p == p


def test_a_split_needs_three_days_on_each_side() -> None:
    with pytest.raises(ValueError, match="a split needs 6 days, not 5"):
        best_split([1.0] * 5)
    assert best_split([0.0, 0.0, 0.0, 0.0, 0.0, 9.0]).at == 3


def test_machines_without_a_change_have_drift_in_less_than_a_twentieth_of_the_cases() -> None:
    source, false = random.Random(3), 0
    for _ in range(200):
        fleet = [series(f"n{n}", [2 * source.gauss(1, 0.05) for _ in range(12)]) for n in range(10)]
        false += bool(drifts(fleet, len(fleet)))
    assert false <= 10


def test_a_step_of_10_percent_and_a_slow_rise_are_found() -> None:
    source, steps, rises = random.Random(4), 0, 0
    for _ in range(50):
        noise = [source.gauss(1, 0.01) for _ in range(30)]
        steps += bool(
            drifts([series("n", [2 * each * (1.1 if day >= 24 else 1) for day, each in enumerate(noise)])], 1000)
        )
        rises += bool(drifts([series("n", [2 * each * (1 + 0.005 * day) for day, each in enumerate(noise)])], 1000))
    assert (steps, rises) == (50, 50)
