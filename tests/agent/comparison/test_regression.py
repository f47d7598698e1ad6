"""Regressions of machines against earlier runs of their own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from agent.comparison import regression
from compared_documents import profile, runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.comparison.regression import Drift
    from agent.profiling.records import Document


def drift(groups: Mapping[str, tuple[Sequence[Document], Sequence[Document]]], share: float) -> Drift:
    return regression.drift(groups.items(), share)


def test_a_machine_that_needs_more_energy_has_regressed() -> None:
    found = drift({"one: llm": (runs(3), runs(3, start=10, energy=1.2))}, share=0.05)
    changed = {change.metric for change in found.regressions}
    assert changed == {"joules_per_inference"}
    assert all(change.subject == "one: llm" for change in found.regressions)
    assert all(change.lower is not None and change.lower > 1 and change.p < 0.05 for change in found.regressions)
    assert {change.point for change in found.changes} == {point.name for point in profile().points}


def test_a_slower_machine_has_regressed_in_latency_and_rate_and_a_faster_one_has_not() -> None:
    slower = drift({"one": (runs(3), runs(3, start=10, speed=0.8))}, share=0.05)
    assert {"inferences_per_second", "mean_latency_seconds"} <= {change.metric for change in slower.regressions}
    faster = drift({"one": (runs(3), runs(3, start=10, speed=1.3, energy=0.7))}, share=0.05)
    assert faster.regressions == ()
    assert any(change.p < 0.05 for change in faster.changes)


def test_a_significant_change_below_the_share_is_no_regression() -> None:
    before, now = runs(5, spread=0.0001), runs(5, start=10, spread=0.0001, energy=1.02)
    assert drift({"one": (before, now)}, share=0.05).regressions == ()
    assert drift({"one": (before, now)}, share=0.01).regressions != ()


def test_a_fleet_without_a_change_has_few_false_alarms() -> None:
    """Forty campaigns of ten machines: 5 % of them may have a false alarm by the correction, so 8 of 40 is too many."""
    chance = random.Random(7)

    def noisy(start: int, host: str) -> list[object]:
        return [
            profile(start + n, host=host, energy=chance.gauss(1, 0.02), speed=chance.gauss(1, 0.02)) for n in range(3)
        ]

    alarms = 0
    for _ in range(40):
        groups = {f"h{n}": (noisy(0, f"h{n}"), noisy(10, f"h{n}")) for n in range(10)}
        alarms += bool(drift(groups, share=0.0).regressions)  # type: ignore[arg-type]
    assert alarms < 8


@pytest.mark.parametrize(("before", "now"), [(2, 3), (3, 2), (0, 3)])
def test_fewer_than_three_profiles_on_a_side_are_not_tested(before: int, now: int) -> None:
    found = drift({"one": (runs(before), runs(now, start=10))}, share=0.05)
    assert found.changes == ()
    assert "a difference needs 3" in found.untested[0]


def test_other_sensors_are_a_reason_and_no_regression() -> None:
    now = [
        structs.replace(each, coverage=structs.replace(each.coverage, source=None))
        for each in runs(3, start=10, energy=2)
    ]
    found = drift({"one": (runs(3), now), "two": (runs(3), runs(3, start=10))}, share=0.05)
    assert [reason.partition(":")[0] for reason in found.untested] == ["one"]
    assert "the source of the energy differs" in found.untested[0]
    assert {change.subject for change in found.changes} == {"two"}


def test_a_workload_whose_points_have_changed_is_a_reason() -> None:
    now = [
        structs.replace(each, points=tuple(structs.replace(p, parameters={"batch": 77}) for p in each.points[:1]))
        for each in runs(3, start=10)
    ]
    found = drift({"one": (runs(3), now)}, share=0.05)
    assert found.changes == ()
    assert "no load is in two setups" in found.untested[0]


def test_a_figure_that_fewer_than_three_profiles_have_is_not_tested() -> None:
    now = runs(3, start=10)
    without = structs.replace(now[0], points=tuple(structs.replace(p, energy=None) for p in now[0].points))
    found = drift({"one": (runs(3), [without, *now[1:]])}, share=0.05)
    assert "joules_per_inference" not in {change.metric for change in found.changes}
    assert "mean_latency_seconds" in {change.metric for change in found.changes}
    points = [point.name for point in profile().points]
    words = "joules_per_inference: 3 accepted and 2 new profiles have a valid one, and a difference needs 3"
    assert found.untested == tuple(f"one: {name}: {words}" for name in points)


def test_energies_that_are_not_valid_any_more_are_a_reason() -> None:
    now = [
        structs.replace(each, points=tuple(structs.replace(point, valid=False) for point in each.points))
        for each in runs(3, start=10, energy=0.5)
    ]
    found = drift({"one": (runs(3), now)}, share=0.05)
    assert "joules_per_inference" not in {change.metric for change in found.changes}
    assert all(
        "joules_per_inference: 3 accepted and 0 new profiles have a valid one" in each for each in found.untested
    )
    assert len(found.untested) == len(profile().points)


def test_energies_that_the_accepted_profiles_lack_are_none() -> None:
    before = [
        structs.replace(each, points=tuple(structs.replace(point, energy=None) for point in each.points))
        for each in runs(3)
    ]
    assert drift({"one": (before, runs(3, start=10))}, share=0.05).untested == ()


def test_an_energy_of_0_is_a_reason_because_it_has_no_ratio() -> None:
    found = drift({"one": (runs(3), runs(3, start=10, energy=0.0))}, share=0.05)
    assert "joules_per_inference" not in {change.metric for change in found.changes}
    words = "joules_per_inference: a profile has 0, which has no ratio"
    assert found.untested == tuple(f"one: {point.name}: {words}" for point in profile().points)


def test_a_point_that_the_new_profiles_lack_is_a_reason_and_the_others_are_tested() -> None:
    first, *others = profile().points
    now = [structs.replace(each, points=each.points[1:]) for each in runs(3, start=10, energy=1.2)]
    found = drift({"one": (runs(3), now)}, share=0.05)
    assert found.untested == (f"one: {first.name}: the new profiles lack it",)
    assert {change.point for change in found.regressions} == {point.name for point in others}
