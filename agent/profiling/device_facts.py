"""The records of a profile about the sensors of its host: those that measure, and those that the total adds."""

from __future__ import annotations

import msgspec

# The schema is generated from these annotations, so they are imported at run time.
from agent.energy.counted_sensors import Boundary  # noqa: TC001
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


class CoverageFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sensors of the total, each once, and the parts of the host without a sensor.

    `relative_uncertainty` is the largest stated half-width of an estimated part, None if all of it is measured.
    """

    boundary: Boundary
    includes: tuple[IncludedSensor, ...]
    not_covered: tuple[str, ...]
    source: Provenance | None
    relative_uncertainty: float | None
