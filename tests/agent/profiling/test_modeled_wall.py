"""The modeled power at the wall in a profile: beside the figures of its boundary, or the reason for its absence."""

from __future__ import annotations

import msgspec
import pytest

from agent.energy.counted_sensors import Boundary
from agent.energy.provenance import Provenance
from agent.energy.wall_factor import COUNTED, WallFactor
from agent.host.wall_state import WallRecord
from agent.profiling.modeled_wall import with_modeled_wall
from agent.profiling.records import Document
from profile_documents import example

KEY = {COUNTED: ("package-0/package energy_joules",), "host": ("h",)}
FACTOR = WallFactor(1.2, 30.0, 10, 60.0, 1.0, 100.0, 5000.0, 1.0, {"total": (0.1, 900.0), "processors": (0.1, 900.0)})
RECORD = WallRecord("inferometer.wall-factor.1", "2026-11-01T10:00:00+00:00", ("meter-desk/wall",), {}, KEY, FACTOR)


@pytest.fixture
def profile() -> Document:
    """A measured profile of one processor."""
    found = msgspec.convert(example(), Document)
    points = []
    for point in found.points:
        if point.energy is None or point.power is None:
            points.append(point)
            continue
        sensors = tuple(
            msgspec.structs.replace(each, in_total=(each.device, each.domain) == ("package-0", "package"))
            for each in point.energy.sensors
        )
        watts = msgspec.structs.replace(point.power.mean_watts, source=Provenance.MEASURED)
        points.append(
            msgspec.structs.replace(
                point,
                energy=msgspec.structs.replace(point.energy, sensors=sensors),
                power=msgspec.structs.replace(point.power, mean_watts=watts),
            )
        )
    coverage = msgspec.structs.replace(found.coverage, boundary=Boundary.PACKAGE)
    return msgspec.structs.replace(found, points=tuple(points), coverage=coverage)


def test_each_point_has_the_power_and_the_energy_at_the_wall(profile: Document) -> None:
    found = with_modeled_wall(profile, RECORD, KEY)
    assert found.wall_model is not None
    assert (found.wall_model.slope, found.wall_model.meters[0].device) == (1.2, "meter-desk")
    known = [point for point in found.points if point.power and point.energy]
    assert known
    for point in known:
        assert point.modeled_wall is not None
        assert point.modeled_wall.mean_watts.mean == pytest.approx(30 + 1.2 * point.power.mean_watts.mean)
        assert point.modeled_wall.mean_watts.lower < point.modeled_wall.mean_watts.mean
    assert found.notes == profile.notes
    assert [point.energy for point in found.points] == [point.energy for point in profile.points]


def test_a_point_without_power_has_no_figure(profile: Document) -> None:
    points = tuple(msgspec.structs.replace(point, power=None) for point in profile.points)
    found = with_modeled_wall(msgspec.structs.replace(profile, points=points), RECORD, KEY)
    assert all(point.modeled_wall is None for point in found.points)
    assert found.notes == profile.notes


def test_a_void_factor_is_a_note(profile: Document) -> None:
    found = with_modeled_wall(profile, RECORD, {**KEY, "power supplies": ("psu-0",)})
    assert found.wall_model is None
    assert "is void, so there is no modeled power at the wall: power supplies: psu-0 is new" in found.notes[-1]


def test_a_profile_at_the_wall_needs_no_model(profile: Document) -> None:
    coverage = msgspec.structs.replace(profile.coverage, boundary=Boundary.WALL)
    whole = msgspec.structs.replace(profile, coverage=coverage)
    assert with_modeled_wall(whole, RECORD, KEY) is whole


def test_points_outside_of_the_learned_powers_and_estimated_ones_are_named_in_the_notes(profile: Document) -> None:
    narrow = msgspec.structs.replace(FACTOR, ranges={"total": (800.0, 900.0), "processors": (800.0, 900.0)})
    found = with_modeled_wall(profile, msgspec.structs.replace(RECORD, factor=narrow), KEY)
    assert all(point.modeled_wall is None for point in found.points)
    assert "it is not extrapolated" in found.notes[-1]
    model = msgspec.structs.replace(msgspec.convert(example(), Document), coverage=profile.coverage)
    estimated = with_modeled_wall(model, RECORD, KEY)
    assert "other sensors than the one that the wall factor was learned for" in estimated.notes[-1]
