"""What a profile says, as frozen records; `docs/profile.schema.json` is the same in JSON Schema.

Energies are in joules, powers in watts, times in seconds, rates a second; money is in the tariff's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

# The schema is made from these annotations, so they are imported for real.
from agent.cost.interval import Interval  # noqa: TC001
from agent.cost.model import Cost  # noqa: TC001
from agent.cost.tariff import Tariff  # noqa: TC001
from agent.profiling.boundary import Boundary  # noqa: TC001
from agent.profiling.conditions import Conditions  # noqa: TC001
from agent.profiling.facts import Agreement, EffortFacts, IdleDrift, RunSurroundings, SamplerFacts  # noqa: TC001
from agent.profiling.precision import Precision  # noqa: TC001
from agent.profiling.statistics import LatencySummary, Summary  # noqa: TC001
from agent.workloads.protocol import InputFacts  # noqa: TC001
from probes.model import Kind, Source  # noqa: TC001
from store.records import Host, RunStatus  # noqa: TC001

SCHEMA_VERSION = "1.1"


class Provenance(StrEnum):
    """Where a number comes from; `mixed` is a sum of measured and estimated parts."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A mean with the interval it lies in and its source.

    The interval is the 95 % interval of the repeats' mean (Student's t), widened by the sensors' own bounds.
    """

    mean: float
    lower: float
    upper: float
    source: Provenance


@dataclass(frozen=True, slots=True)
class Split:
    """Energy in total, the idle part of it (unloaded idle power times the time taken) and what is above it.

    Idle and dynamic are None where no idle baseline was measured.
    """

    total: Quantity
    idle: Quantity | None
    dynamic: Quantity | None


@dataclass(frozen=True, slots=True)
class DeviceEnergy:
    """One sensor's energy per inference; `counted` says whether it is part of the total."""

    device: str
    kind: str
    domain: str
    method: str
    counted: bool
    per_inference: Split


@dataclass(frozen=True, slots=True)
class PhaseEnergy:
    """The whole boundary's energy of one phase, by the windows in which only that phase ran."""

    phase: str
    per_inference: Quantity
    per_input_token: Quantity | None
    per_output_token: Quantity | None


@dataclass(frozen=True, slots=True)
class PointEnergy:
    """The energy of a point; tokens are priced with the whole boundary's energy over the named count.

    `repeats` describes the total of the repeats alone, without the sensors' bounds. `estimated_share` is the part of
    the total that comes from a model: 0 all measured, 1 all estimated.
    """

    per_inference: Split
    repeats: Summary
    estimated_share: float
    per_input_token: Quantity | None
    per_output_token: Quantity | None
    per_token: Quantity | None
    devices: tuple[DeviceEnergy, ...]
    phases: tuple[PhaseEnergy, ...]


@dataclass(frozen=True, slots=True)
class PointPower:
    """Power while inferences follow one another: their energy over their time.

    `peak` is the sum of the sensors' own peaks, which need not have been at one moment: a gauge's highest reading, a
    counter's highest mean over a stretch of the window. None where the windows are too short for one.
    """

    mean: Quantity
    peak: float | None
    source: Provenance


@dataclass(frozen=True, slots=True)
class PhaseSpeed:
    """How fast one phase went; a latency is one iteration's: a batch through the phase."""

    phase: str
    repeats: int
    iterations: int
    inferences: int
    input_tokens: int
    output_tokens: int
    duration_seconds: float
    latency_seconds: LatencySummary


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one expectation about a point. `passed` False with `fatal` leaves no energy or cost figures."""

    expectation: str
    passed: bool
    fatal: bool
    message: str


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of the sweep. `energy`, `power` and `cost` are None where `valid` is False or nothing measures.

    `latency_seconds` is of a whole request: where a request has phases, the sum of one iteration of each.
    """

    name: str
    batch: int
    valid: bool
    repeats: int
    input_tokens_per_inference: float | None
    output_tokens_per_inference: float | None
    latency_seconds: LatencySummary
    time_to_first_token_seconds: LatencySummary | None
    inter_token_latency_seconds: LatencySummary | None
    inferences_per_second: Interval
    input_tokens_per_second: Interval | None
    output_tokens_per_second: Interval | None
    phases: tuple[PhaseSpeed, ...]
    energy: PointEnergy | None
    power: PointPower | None
    cost: Cost | None
    precision: Precision
    agreement: tuple[Agreement, ...]
    conditions: Conditions
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class IdlePower:
    """The power of one sensor, or of the whole boundary (`device` "total"), while nothing ran."""

    device: str
    domain: str
    watts: Quantity


@dataclass(frozen=True, slots=True)
class Baseline:
    """One idle stretch: `state` is `unloaded` (no workload) or `loaded` (model in memory), `when` of the sweep."""

    state: Literal["unloaded", "loaded"]
    when: Literal["before", "after"]
    duration_seconds: float
    power: tuple[IdlePower, ...]


@dataclass(frozen=True, slots=True)
class Sensor:
    """One channel that measures energy or power: what is known of it."""

    domain: str
    metric: str
    source: Source
    method: str
    refresh_seconds: float
    uncertainty: float
    counted: bool


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """One device of the host with its sensors of energy and power."""

    id: str
    kind: Kind
    name: str
    attributes: dict[str, str]
    sensors: tuple[Sensor, ...]


@dataclass(frozen=True, slots=True)
class Included:
    """One (device, domain) that is part of the total."""

    device: str
    domain: str


@dataclass(frozen=True, slots=True)
class CoverageFacts:
    """What the total adds, once, and what no sensor covers.

    `uncertainty` is the largest stated relative half-width of an estimated part, None where all is measured.
    """

    boundary: Boundary
    includes: tuple[Included, ...]
    not_covered: tuple[str, ...]
    source: Provenance | None
    uncertainty: float | None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What ran the model; `threads` 0 is the engine's own choice."""

    name: str
    version: str
    provider: str
    threads: int


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """What was run: its settings as asked for, the facts of the model, and where its inputs came from."""

    name: str
    settings: dict[str, str | int | float | bool | list[str] | dict[str, list[int]] | None]
    precision: str | None
    parameters: int
    model_bytes: int
    model_sha256: str | None
    inputs: tuple[InputFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A profile. `status` tells whether the run came to its end; `notes` are what a reader should know first."""

    schema: Literal["inferometer.profile"]
    schema_version: str
    id: str
    created: str
    inferometer_version: str
    status: RunStatus
    effort: EffortFacts
    host: Host
    engine: EngineFacts
    workload: WorkloadFacts
    devices: tuple[DeviceFacts, ...]
    coverage: CoverageFacts
    surroundings: RunSurroundings
    sampler: SamplerFacts | None
    baselines: tuple[Baseline, ...]
    idle_drift: tuple[IdleDrift, ...]
    points: tuple[Point, ...]
    tariff: Tariff | None
    notes: tuple[str, ...]
