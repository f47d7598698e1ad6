"""The shares of the parts of a machine, over all phases and by phase."""

from __future__ import annotations

import pytest
from msgspec import structs

from agent.comparison.matching import matched
from agent.comparison.setups import group
from agent.comparison.shares import shares
from agent.profiling.records import SensorJoules
from compared_documents import profile

PARTS = (("package-0", "cpu", "package", 0.5), ("package-0", "cpu", "dram", 0.1), ("GPU-1", "gpu", "board", 0.2))


def with_sensors(document, parts, in_total=True, phases=True):
    """Return the document with these shares of its energy as sensors, in all phases and in each."""
    points = []
    for point in document.points:
        total = point.energy.joules_per_inference.total
        sensor, phase = point.energy.sensors[0], point.energy.phases[0]
        sensors = tuple(
            structs.replace(
                sensor,
                device=device,
                kind=kind,
                domain=domain,
                in_total=in_total,
                joules_per_inference=structs.replace(
                    sensor.joules_per_inference, total=structs.replace(total, mean=share * total.mean)
                ),
            )
            for device, kind, domain, share in parts
        )
        own = tuple(
            SensorJoules(device, domain, share * phase.joules_per_inference.mean) for device, _, domain, share in parts
        )
        each = (structs.replace(phase, sensors=own if phases else ()), *point.energy.phases[1:])
        points.append(structs.replace(point, energy=structs.replace(point.energy, sensors=sensors, phases=each)))
    return structs.replace(document, points=tuple(points))


def shares_of(document):
    setups = group([document, profile(9, precision="int8")])
    return [each for each in shares(setups, matched(setups)) if each.setup == "A"]


def relative(found):
    return {name: pytest.approx(value / found.joules) for name, value in found.parts.items()}


def test_parts_are_shares_of_the_total_and_the_rest_has_no_sensor() -> None:
    found = shares_of(with_sensors(profile(), PARTS))
    assert [each.phase for each in found[:3]] == [None, "prefill", "decode"]
    for each in found[:2]:
        assert relative(each) == {"cpu": 0.5, "dram": 0.1, "gpu": 0.2, "rest": 0.2}


def test_a_total_of_an_outer_sensor_is_split_by_the_sensors_inside_it() -> None:
    inside = (*PARTS, ("GPU-1", "gpu", "module", 0.3), ("package-0", "cpu", "core", 0.4), ("psys", "host", "psys", 1.0))
    assert relative(shares_of(with_sensors(profile(), inside, in_total=False))[0]) == {
        "cpu": 0.5,
        "dram": 0.1,
        "gpu": 0.3,
        "rest": pytest.approx(0.1),
    }


def test_parts_that_are_the_total_leave_no_rest() -> None:
    assert relative(shares_of(profile())[0]) == {"cpu": 1.0}


def test_older_profiles_have_no_shares_by_phase() -> None:
    found = shares_of(with_sensors(profile(), PARTS, phases=False))
    assert "prefill" not in {each.phase for each in found}


def test_a_phase_without_a_sensor_that_the_point_has_leaves_it_out() -> None:
    document = with_sensors(profile(), PARTS)
    points = []
    for point in document.points:
        phases = tuple(structs.replace(each, sensors=each.sensors[:1]) for each in point.energy.phases)
        points.append(structs.replace(point, energy=structs.replace(point.energy, phases=phases)))
    found = shares_of(structs.replace(document, points=tuple(points)))
    assert set(found[1].parts) == {"cpu", "rest"}


def test_a_point_without_energy_has_no_shares_and_one_without_a_phase_none_for_it() -> None:
    first, second = profile(0), profile(1)
    bare = [structs.replace(each, energy=None) for each in second.points]
    one_phase = [structs.replace(each.energy, phases=each.energy.phases[:1]) for each in second.points]
    half = [structs.replace(each, energy=own) for each, own in zip(second.points, one_phase, strict=True)]
    for points, expected in ((bare, 3), (half, 3)):
        setups = group([first, structs.replace(second, points=tuple(points)), profile(9, precision="int8")], "setup")
        found = [each for each in shares(setups, matched(setups)) if each.setup == "A" and each.point == "batch=1"]
        assert len(found) == expected
