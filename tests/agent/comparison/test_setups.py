"""Profiles of one setup form a group; days, profiles and groups by hand are the alternatives."""

from __future__ import annotations

import pytest
from msgspec import structs

from agent.comparison.compare import compare
from agent.comparison.matching import IncomparableError
from agent.comparison.setups import SetupError, group, named
from compared_documents import ids, profile, runs


def test_profiles_of_one_setup_are_one_group_named_by_its_differences() -> None:
    one, other = runs(3), runs(2, 10, precision="int8", energy=0.5, speed=2.0)
    found = group([*one, *other])
    assert [(each.label, each.name) for each in found] == [("A", "fp32"), ("B", "int8")]
    assert [ids(each.documents) for each in found] == [ids(one), ids(other)]
    assert [each.name for each in group([profile(0), profile(1, host="two", precision="int8")])] == [
        "one, fp32",
        "two, int8",
    ]


def test_groups_by_hand_can_have_one_setup_or_mix_several() -> None:
    found = named([runs(3), runs(3, 10)])
    assert [len(each.documents) for each in found] == [3, 3]
    assert found[1].name == "2026-01-01, 20260101-000010-aaaa"
    points = compare(named([runs(3), runs(3, 10, energy=2.0)])).points
    joules = [row for point in points for row in point.metrics if row.metric == "joules_per_inference"]
    assert "significant" in {cell.difference.verdict for row in joules for cell in row.cells if cell.difference}
    several = named([[profile(0), profile(1, precision="int8", source="estimated")], [profile(2)]])
    with pytest.raises(IncomparableError, match="A has estimated and measured, B has measured"):
        compare(several)
    assert "A has profiles of several setups: they differ in precision, source" in compare(several, force=True).notes


def test_one_setup_is_grouped_by_day_and_one_day_by_profile() -> None:
    days = [profile(0), profile(1), profile(100)]
    assert [each.name for each in group(days)] == ["2026-01-01", "2026-01-02"]
    assert [len(each.documents) for each in group(days)] == [2, 1]
    alone = group(days[:2])
    assert [each.name for each in alone] == [f"2026-01-01, {each.id}" for each in days[:2]]
    assert len(group(days, "profile")) == 3


def test_settings_without_a_name_of_their_own_name_the_setups_if_nothing_else_differs() -> None:
    deep = profile(1)
    workload = structs.replace(deep.workload, settings={**deep.workload.settings, "layers": 8, "seed": 7})
    found = group([profile(0), structs.replace(deep, workload=workload)])
    assert [each.name for each in found] == ["layers=4", "layers=8"]
    named = structs.replace(workload, settings={**workload.settings, "model": "/models/m.onnx"}, parameter_count=None)
    unnamed = structs.replace(workload, parameter_count=None)
    found = group(
        [structs.replace(deep, workload=each) for each in (named,)] + [structs.replace(profile(2), workload=unnamed)]
    )
    assert [each.name for each in found] == ["m.onnx", "transformer"]


def test_runs_under_another_power_limit_of_an_accelerator_are_another_setup() -> None:
    def limited(document, watts):
        point = document.points[0]
        device = structs.replace(point.conditions.devices[0], device="GPU-1", start_power_limit_watts=watts)
        conditions = structs.replace(point.conditions, devices=(device,))
        return structs.replace(document, points=(structs.replace(point, conditions=conditions),))

    found = group([limited(profile(0), 300.0), limited(profile(1), 300.0), limited(profile(2), 250.0)])
    assert [len(each.documents) for each in found] == [2, 1]
    assert found[1].name == "device_power_limits=[('GPU-1', 250.0)]"


def test_a_repeated_profile_a_single_group_and_too_many_groups_are_refused() -> None:
    with pytest.raises(SetupError, match="given twice"):
        group([profile(0), profile(0)])
    with pytest.raises(SetupError, match="there is one"):
        group([profile(0)])
    with pytest.raises(SetupError, match="there is one"):
        group([profile(0), profile(1)], "setup")
    with pytest.raises(SetupError, match="at most 26"):
        group([profile(number) for number in range(27)])
