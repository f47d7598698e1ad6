"""The records of a profile about the sensors of its host: those that measure, and those that the total adds."""

from __future__ import annotations

from typing import Literal

import msgspec

# The schema is generated from these annotations, so they are imported at run time.
from agent.cost.interval import Interval  # noqa: TC001
from agent.energy.counted_sensors import Boundary  # noqa: TC001
from agent.energy.crosscheck import Verdict  # noqa: TC001
from agent.energy.parts import PartState  # noqa: TC001
from agent.energy.provenance import Provenance  # noqa: TC001
from probes.model import Kind, Source  # noqa: TC001


class SensorFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One channel that measures energy or power. `relative_uncertainty` is the stated half-width of an estimate."""

    domain: str
    metric: str
    source: Source
    method: str
    refresh_seconds: float | None
    relative_uncertainty: float | None
    in_total: bool


class DeviceFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One device of the host with its sensors of energy and power."""

    id: str
    kind: Kind
    name: str | None
    attributes: dict[str, str]
    sensors: tuple[SensorFacts, ...]


class IncludedSensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One (device, domain) that is part of the total."""

    device: str
    domain: str


class PartFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of the host, by the id of a device or the name of a kind of part, and its state in the total.

    `sensors` are those of the total that measure, contain or model it.
    """

    name: str
    kind: Kind
    state: PartState
    sensors: tuple[IncludedSensor, ...]


class CoverageFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sensors of the total, each once, and the parts of the host without a sensor.

    `relative_uncertainty` is the largest stated half-width of an estimated part, None if all of it is measured. `parts`
    are all parts of the host, also those without a sensor.
    """

    boundary: Boundary
    includes: tuple[IncludedSensor, ...]
    not_covered: tuple[str, ...]
    source: Provenance | None
    relative_uncertainty: float | None
    parts: tuple[PartFacts, ...] = ()


class LayerCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The power of a meter, or of several that add up, against the sum of the sensors below it.

    The line meter = offset + slope * sum is fitted over `windows` windows; slope and offset have 95 % intervals that
    are widened by the bounds of the sensors. Both are None if the windows show no slope. `slope_limit` is the largest
    slope that losses between the meter and the sensors explain.
    """

    meters: tuple[IncludedSensor, ...]
    below: tuple[IncludedSensor, ...]
    windows: int
    slope: Interval | None
    offset_watts: Interval | None
    slope_limit: float
    verdict: Verdict
    reason: str


class ModeledWall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The power at the wall, and the energy of an inference there, by a factor that was learned with a meter.

    It is an estimate beside the figures of the boundary, and never a part of them. The intervals are those of a
    prediction, widened by the bounds of the sensors.
    """

    boundary: Literal["wall (modeled)"]
    source: Literal["estimated"]
    mean_watts: Interval
    joules_per_inference: Interval


class WallModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The factor behind the modeled power at the wall: wall = constant + slope * total, in watts.

    `lowest_watts` and `highest_watts` are the totals between which it was learned, `deviation_watts` is the standard
    deviation of the windows about the line.
    """

    learned: str
    meters: tuple[IncludedSensor, ...]
    slope: float
    constant_watts: float
    deviation_watts: float
    windows: int
    lowest_watts: float
    highest_watts: float
