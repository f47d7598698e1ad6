"""Adds the modeled power at the wall to a profile whose host has a learned wall factor; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.cost.interval import Interval
from agent.energy.bounds import Energy
from agent.energy.counted_sensors import Boundary
from agent.energy.provenance import Provenance
from agent.energy.wall_factor import WallFactorError, changes
from agent.profiling.device_facts import IncludedSensor, ModeledWall, WallModel
from probes.model import Channel, Device, Kind, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.host.wall_state import WallRecord
    from agent.profiling.records import Document, Point


def with_modeled_wall(document: Document, record: WallRecord, key: Mapping[str, Sequence[str]]) -> Document:
    """Return a profile with the modeled power at the wall of each point, beside the figures of its own boundary.

    A profile measured at the wall needs none. A void factor, and a point outside of the learned powers, are named in
    the notes.
    """
    if document.coverage.boundary is Boundary.WALL:
        return document
    void = changes(record.key, key)
    if void:
        note = f"the wall factor learned on {record.learned} is void, so there is no modeled power at the wall"
        return msgspec.structs.replace(document, notes=(*document.notes, f"{note}: {'; '.join(void)}"))
    points, notes = [], []
    for point in document.points:
        try:
            modeled = _modeled(point, record, document.plan.window_seconds)
        except WallFactorError as error:
            modeled = None
            notes.append(f"{point.name} has no modeled power at the wall: {error}")
        points.append(msgspec.structs.replace(point, modeled_wall=modeled))
    return msgspec.structs.replace(
        document, points=tuple(points), wall_model=_facts(record), notes=(*document.notes, *notes)
    )


def _modeled(point: Point, record: WallRecord, seconds: float) -> ModeledWall | None:
    if point.power is None or point.energy is None or not point.power.mean_watts.mean:
        return None
    watts = point.power.mean_watts
    source = Source.MEASURED if watts.source is Provenance.MEASURED else Source.ESTIMATED
    total = Energy(watts.mean, watts.lower, watts.upper)
    joules = point.energy.joules_per_inference.total.mean
    rate = watts.mean / joules
    counted = {
        Channel(Device(each.device, Kind(each.kind)), each.domain, "", source): each.joules_per_inference.total.mean
        * rate
        for each in point.energy.sensors
        if each.in_total
    }
    wall = record.applied().power(total, counted, seconds)
    power = Interval(wall.joules, wall.lower, wall.upper)
    return ModeledWall("wall (modeled)", "estimated", power, power.times(joules / watts.mean))


def _facts(record: WallRecord) -> WallModel:
    factor = record.factor
    low, high = factor.ranges["total"]
    meters = tuple(IncludedSensor(*path.rsplit("/", 1)) for path in record.meters)
    return WallModel(
        record.learned,
        meters,
        factor.slope,
        factor.constant_watts,
        factor.deviation_watts,
        factor.windows,
        low,
        high,
    )
