"""The commands of one run against the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from agent.comparison.commands import compare_commands
from compared_documents import profile

if TYPE_CHECKING:
    from agent.profiling.records import Document, Point


def point(command: str, speed: float = 1.0, energy: float = 1.0, **parameters: int) -> Point:
    first = profile(speed=speed, energy=energy).points[0]
    return structs.replace(first, parameters={"command": command, **parameters})


def run_of(*points: Point) -> Document:
    found = profile()
    return structs.replace(found, workload=structs.replace(found.workload, name="command"), points=points)


def test_each_command_is_compared_with_the_first_one_at_equal_parameters() -> None:
    document = run_of(
        point("old", level=1),
        point("old", speed=2.0, level=9),
        point("new", speed=1.5, energy=0.5, level=1),
        point("new", speed=4.0, energy=3.0, level=9),
    )
    low, high = compare_commands(document)
    assert (low.command, low.reference, low.parameters) == ("new", "old", {"level": 1})
    assert low.speed is not None
    assert low.speed.ratio == pytest.approx(1.5)
    assert low.joules is not None
    assert low.joules.ratio == pytest.approx(0.5)
    assert low.joules.lower < 0.5 < low.joules.upper
    assert high.speed is not None
    assert high.speed.ratio == pytest.approx(2.0)
    assert high.joules is not None
    assert high.joules.ratio == pytest.approx(3.0)


def test_the_interval_is_that_of_the_repeats_because_the_sensors_are_the_same() -> None:
    [found] = compare_commands(run_of(point("a"), point("b")))
    assert found.joules is not None
    assert (found.joules.lower, found.joules.upper) == pytest.approx((0.93, 1.075), abs=0.01)


def test_a_point_without_energy_is_compared_by_its_speed_alone() -> None:
    [found] = compare_commands(run_of(point("a"), structs.replace(point("b"), energy=None)))
    assert found.joules is None
    assert found.speed is not None
    [found] = compare_commands(run_of(structs.replace(point("a"), energy=None), point("b")))
    assert found.joules is None


def test_one_command_and_other_workloads_have_no_comparison() -> None:
    assert compare_commands(run_of(point("a"))) == ()
    assert compare_commands(profile()) == ()
