"""The profile document as frozen records; `docs/profile.schema.json` is the same in JSON Schema.

Energies are in joules, powers in watts, times in seconds, rates per second; money is in the tariff's currency. None
means "not known". A `relative_` field is a share of the figure it belongs to: 0.05 is 5 %.
"""

from __future__ import annotations

from typing import Literal

import msgspec

# The schema is generated from these annotations, so they are imported at run time.
from agent.cost.interval import Interval  # noqa: TC001
from agent.cost.model import Cost  # noqa: TC001
from agent.cost.tariff import Tariff  # noqa: TC001
from agent.energy.provenance import Provenance  # noqa: TC001
from agent.profiling.device_facts import (  # noqa: TC001
    CoverageFacts,
    DeviceFacts,
    LayerCheck,
    ModeledWall,
    WallModel,
)
from agent.profiling.meter_facts import Ambient, MeterFacts  # noqa: TC001
from agent.profiling.run_facts import (  # noqa: TC001
    Ceiling,
    CheckResult,
    Conditions,
    Convergence,
    EngineFacts,
    HostFacts,
    HostState,
    IdleDrift,
    LatencySummary,
    PlanFacts,
    SensorAgreement,
    Summary,
    WorkloadFacts,
)
from agent.profiling.serving_records import ServingFigures, SustainableRate  # noqa: TC001
from agent.profiling.tool_records import ToolReport  # noqa: TC001
from agent.sampling.facts import SamplingConditions  # noqa: TC001
from agent.workloads.model_record import Agreement  # noqa: TC001
from store.records import RunStatus  # noqa: TC001

SCHEMA_VERSION = "2.5"


class UncertainValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mean with its interval and its source.

    The interval is the 95 % interval of the mean of repeats (Student's t), widened by the bounds of the sensors.
    """

    mean: float
    lower: float
    upper: float
    source: Provenance


class EnergyBreakdown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The total energy, its idle part (unloaded idle power times the time) and the dynamic part above it.

    Idle and dynamic are None without an idle baseline.
    """

    total: UncertainValue
    idle: UncertainValue | None
    dynamic: UncertainValue | None


class SensorEnergy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The energy of one sensor per inference; `in_total` states whether the total includes it."""

    device: str
    kind: str
    domain: str
    method: str
    in_total: bool
    joules_per_inference: EnergyBreakdown


class SensorJoules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mean energy of one sensor per inference."""

    device: str
    domain: str
    joules_per_inference: float


class PhaseEnergy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The energy of the whole boundary in one phase, from the windows in which only that phase ran.

    `sensors` has the part of each sensor, also of those that are not in the total.
    """

    phase: str
    joules_per_inference: UncertainValue
    joules_per_input_token: UncertainValue | None
    joules_per_output_token: UncertainValue | None
    sensors: tuple[SensorJoules, ...] = ()


class PointEnergy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The energy of a point. Joules per token are the energy of the whole boundary over the number of those tokens.

    `repeats` summarizes the total over the repeats, without the bounds of the sensors. `estimated_share` is the part of
    the total that comes from a model: 0 all measured, 1 all estimated. `background_share` is the part of the total that
    is attributed to other programs; the lower bounds exclude it, the upper ones include it. None: their load is
    unknown.
    """

    joules_per_inference: EnergyBreakdown
    repeats: Summary
    estimated_share: float
    background_share: float | None
    joules_per_input_token: UncertainValue | None
    joules_per_output_token: UncertainValue | None
    joules_per_total_token: UncertainValue | None
    sensors: tuple[SensorEnergy, ...]
    phases: tuple[PhaseEnergy, ...]


class PointPower(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mean power of consecutive inferences: their energy over their time.

    `peak_watts` is the sum of the peaks of the sensors, which need not coincide: the highest reading of a gauge, the
    highest mean of a counter over a part of the window. None if the windows are too short for one.
    """

    mean_watts: UncertainValue
    peak_watts: float | None
    source: Provenance


class PhaseSpeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The speed of one phase; a latency is that of one iteration: a batch through the phase."""

    phase: str
    repeats: int
    iterations: int
    inferences: int
    input_tokens: int
    output_tokens: int
    duration_seconds: float
    latency_seconds: LatencySummary


class PhaseWork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operations and the bytes of one phase, which the workload counts from its shapes.

    `moved_bytes` are those that the program reads and writes in memory; `allocated_bytes` also has the lines that a
    cache reads before they are written (write-allocate), which stores past the cache do not need. Rates and joules are
    of the moved bytes. `share_of_ceiling` is the least time at the measured ceiling of this host, as part of the mean
    time. None: not counted, or not known.
    """

    phase: str
    operations_per_inference: float | None
    moved_bytes_per_inference: float | None
    allocated_bytes_per_inference: float | None
    operations_per_second: Interval | None
    bytes_per_second: Interval | None
    joules_per_operation: UncertainValue | None
    joules_per_byte: UncertainValue | None
    share_of_ceiling: float | None = None


class PointModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model of a point, in a run whose points have different ones, such as one for each precision.

    `load_seconds` and `load_joules` are the time and the energy of loading it; the energy is None if nothing measures
    power. `agreement` compares its outputs with those of the run's first model, which has none. `computes_in` is the
    precision in which the engine computes with the weights, None if it does not report it.
    """

    precision: str | None
    parameter_count: int | None
    model_bytes: int | None
    load_seconds: float
    load_joules: UncertainValue | None
    agreement: Agreement | None
    computes_in: str | None = None


class Startup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The start of the model: loading it, and the first run of the first point, in which engines compile and allocate.

    The energy is that of the whole boundary, None if nothing measures power. The process of the engine has started
    before; of a server that the run starts, the load lasts from its start until it is ready.
    """

    load_seconds: float
    load_joules: UncertainValue | None
    first_run_seconds: float
    first_run_joules: UncertainValue | None


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One setting of the sweep. `energy`, `power` and `cost` are None if `valid` is False or nothing measures power.

    `parameters` identify the point, `name` is for display. `mean_latency_seconds` is the latency of a whole request:
    the sum of the means of the phases. `latency_seconds` has its percentiles, None if the phases were measured one by
    one, as no whole request ran then. `serving` is None unless the workload sends requests to a server.
    `reported` are the own figures of the tool whose results were imported, one for each repeat. `model` is None if all
    points have the same model, which is that of the document. `work` has the phases whose work is counted.
    `modeled_wall` is None without a wall factor, and outside of the powers that it was learned for.
    """

    name: str
    parameters: dict[str, str | int | float | bool]
    valid: bool
    repeats: int
    input_tokens_per_inference: float | None
    output_tokens_per_inference: float | None
    mean_latency_seconds: Interval
    latency_seconds: LatencySummary | None
    time_to_first_token_seconds: LatencySummary | None
    inter_token_latency_seconds: LatencySummary | None
    inferences_per_second: Interval
    input_tokens_per_second: Interval | None
    output_tokens_per_second: Interval | None
    phases: tuple[PhaseSpeed, ...]
    energy: PointEnergy | None
    power: PointPower | None
    cost: Cost | None
    convergence: Convergence
    sensor_agreement: tuple[SensorAgreement, ...]
    conditions: Conditions
    checks: tuple[CheckResult, ...]
    serving: ServingFigures | None = None
    reported: tuple[ToolReport, ...] = ()
    model: PointModel | None = None
    work: tuple[PhaseWork, ...] = ()
    modeled_wall: ModeledWall | None = None


class IdlePower(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mean power of one idle sensor."""

    device: str
    domain: str
    watts: UncertainValue


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One idle window, `when` before or after the sweep: `unloaded` is without a workload, `loaded` with the model.

    `watts` is the mean power of the whole boundary, None if a sensor of the total has none.
    """

    state: Literal["unloaded", "loaded"]
    when: Literal["before", "after"]
    duration_seconds: float
    watts: UncertainValue | None
    sensors: tuple[IdlePower, ...]


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A profile. `status` is the outcome of the run; `notes` are sentences to read before any number.

    `sustainable_rate` is None unless the run searched for it. `startup` is None unless the run loaded the model or
    started its server. `ceilings` are those that points are compared with. `cross_checks` compare the meters of the
    host with the sensors below them, the outermost meter first.
    """

    schema: Literal["inferometer.profile"]
    schema_version: str
    id: str
    created: str
    inferometer_version: str
    status: RunStatus
    plan: PlanFacts
    host: HostFacts
    engine: EngineFacts
    workload: WorkloadFacts
    devices: tuple[DeviceFacts, ...]
    coverage: CoverageFacts
    host_state: HostState
    sampler: SamplingConditions | None
    baselines: tuple[Baseline, ...]
    idle_drift: tuple[IdleDrift, ...]
    points: tuple[Point, ...]
    tariff: Tariff | None
    notes: tuple[str, ...]
    sustainable_rate: SustainableRate | None = None
    startup: Startup | None = None
    ceilings: tuple[Ceiling, ...] = ()
    cross_checks: tuple[LayerCheck, ...] = ()
    wall_model: WallModel | None = None
    meters: tuple[MeterFacts, ...] = ()
    ambient: Ambient | None = None
