"""Facts of a run in the profile document, as frozen records: plan, host, sampler, drift, agreement, checks."""

from __future__ import annotations

from typing import Literal

import msgspec

# The schema is generated from these annotations, so they are imported at run time.
from agent.host.records import HostSettings  # noqa: TC001
from agent.workloads.input_spec import InputFacts  # noqa: TC001


class CheckResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result of one check of a point.

    A failed check of severity `invalid` withholds the energy and cost of the point, one of severity `warning` is a
    reason for doubt. `unknown` means that the host lacks the evidence.
    """

    name: str
    status: Literal["passed", "failed", "unknown"]
    severity: Literal["warning", "invalid"]
    message: str

    @property
    def failed(self) -> bool:
        """Whether the check found a fault."""
        return self.status == "failed"


def checked(name: str, passed: bool | None, message: str, severity: Literal["warning", "invalid"]) -> CheckResult:
    """Return the result of a check; `passed` None means that the evidence is missing."""
    return CheckResult(name, "unknown" if passed is None else "passed" if passed else "failed", severity, message)


class SensorAgreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A power gauge, integrated over time, against the energy counter of the same domain, over a point's windows.

    `relative_difference` is the energy of the gauge over that of the counter, minus 1. `preferred` is the sensor whose
    values count, `reason` the ground for that.
    """

    device: str
    domain: str
    relative_difference: float
    preferred: Literal["counter"]
    reason: str


class IdleDrift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The change of the whole boundary's idle power from before the sweep to after it.

    `relative_change` is the change over the mean of both. `limit` is its largest acceptable value: a tenth, plus the
    sensors' own bounds.
    """

    state: Literal["unloaded", "loaded"]
    change_watts: float
    relative_change: float
    limit: float


class PlanFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The measurement plan: length and number of the windows of every point, and the order of the points.

    A window lasts `window_seconds` and `min_iterations` at least, both. `tolerance` is the requested relative
    half-width, `budget_seconds` the time limit for reaching it, both None if none was requested; with one, an idle
    baseline lasts at most `idle_seconds`. `equivalence` is the margin within which a point that equals the best one is
    measured no further, None without one. `limiting_sensor` is
    the sensor that made the windows longer than requested. `sweep` has the values of every swept parameter.
    """

    mode: str
    idle_seconds: float
    warmup_seconds: float
    repeats: int
    window_seconds: float
    min_iterations: int
    tolerance: float | None
    budget_seconds: float | None
    limiting_sensor: str | None
    sweep: dict[str, list[str | int | float | bool]]
    order_seed: int | None
    equivalence: float | None = None


class EngineFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The engine that ran the model; `threads` None is the engine's own choice.

    `provider` is the kind of device, and `device` the one that ran the model by the engine's name for it.
    `cpu_operator_share` is the share of the operators that the CPU ran instead of the device. `cpus` are the CPUs that
    the process could use, as the kernel lists them. None: not known.
    """

    name: str
    version: str
    provider: str
    threads: int | None
    device: str | None = None
    cpu_operator_share: float | None = None
    cpus: str | None = None


class WorkloadFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The workload: its settings as requested, the facts of the model, and the origin of its inputs.

    The number of parameters and the size are None if the model runs in a server that reports neither; both precisions
    and the size are None if the points have models of their own. `computes_in` is the precision in which the engine
    computes with the weights, None if it does not report it.
    """

    name: str
    settings: dict[str, str | int | float | bool | list[str] | dict[str, list[int]] | None]
    precision: str | None
    parameter_count: int | None
    model_bytes: int | None
    model_sha256: str | None
    inputs: tuple[InputFacts, ...] = ()
    computes_in: str | None = None


class Ceiling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The highest measured rates of a device of this host, from the newest stored profiles of `gemm` and `stream`."""

    precision: str
    device: str
    operations_per_second: float
    bytes_per_second: float
    gemm_profile: str
    stream_profile: str


class HostFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The measured machine; `id` survives reboots, `boot_id` does not.

    `labels` are those of its configuration: site, rack, owner and others.
    """

    id: str
    name: str
    boot_id: str | None
    kernel: str | None
    operating_system: str | None
    cpu_model: str | None
    microarchitecture: str | None
    cpu_flags: tuple[str, ...]
    logical_cpus: int | None
    memory_bytes: int | None
    virtual: bool
    labels: dict[str, str] = {}


class HostState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings and temperature of the host before the first baseline and after the last one.

    `after` is None if the run ended early.
    """

    before: HostSettings | None
    after: HostSettings | None


class DeviceConditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of one part of a device, at the start of the first window and at the end of the last.

    Frequencies are means over the first repeat and over the last one. `throttle_reasons` are the causes that held the
    clocks down, `throttled_share` is the part of the samples in windows that show one, `throttled_seconds` the time
    that a counter reports. `baseline_utilization` is the share of the idle baselines in which an accelerator was busy,
    so with other programs' work. None: not reported.
    """

    device: str
    domain: str
    start_celsius: float | None
    end_celsius: float | None
    start_frequency_hertz: float | None
    end_frequency_hertz: float | None
    start_power_limit_watts: float | None
    end_power_limit_watts: float | None
    throttle_reasons: tuple[str, ...]
    throttled_share: float | None
    throttled_seconds: float | None
    baseline_utilization: float | None


class GpuSharing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sharing of a GPU: the shares of the time in which processes kept it busy, summed over the processes.

    `self_share` is the share of this program and the workload, `other_share` that of all others, both means over the
    windows; `max_other_share` is that of the worst window, `other_processes` the largest number of others that had it
    open. None: not known.
    """

    device: str
    self_share: float | None
    other_share: float | None
    max_other_share: float | None
    other_processes: int | None


class Conditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The load of the CPUs and the state of the devices while a point was measured.

    `self_cpus` is the number of CPUs that this program and the workload kept busy, `other_cpus` the number that all
    other programs did, both means over the windows; `max_other_cpus` is that of the worst window, less the resolution
    of the clock tick, `baseline_other_cpus` that of the worst idle baseline; `steal_share` is the largest share of CPU
    time that the hypervisor gave to other guests. `thermal_throttle_events` counts the slowdowns of a CPU by
    temperature, `quota_stopped_share` is the largest share of a window in which a CPU quota stopped this program or the
    workload. `gpus` are those whose driver reports their processes. `start_power_limits_watts` are the limits of the
    RAPL zones at the start of the point's first window, `end_power_limits_watts` those at the end of its last one, by
    zone and constraint. None: not known.
    """

    self_cpus: float | None
    other_cpus: float | None
    max_other_cpus: float | None
    steal_share: float | None
    thermal_throttle_events: int | None
    devices: tuple[DeviceConditions, ...]
    gpus: tuple[GpuSharing, ...] = ()
    baseline_other_cpus: float | None = None
    quota_stopped_share: float | None = None
    start_power_limits_watts: dict[str, float] = {}
    end_power_limits_watts: dict[str, float] = {}


UNKNOWN_CONDITIONS = Conditions(None, None, None, None, None, ())
"""The conditions of a point about which nothing is known."""


class Convergence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The statistical convergence of a point: of its energy per inference, or of its rate if nothing measures power.

    `relative_half_width` is the half-width of the repeats' 95 % interval over their mean, None for one repeat or a mean
    of 0; with a tolerance the interval is the wider one of repeats that were checked while they were measured.
    `tolerance` is the requested half-width, `converged` whether it was reached; both None if none was requested.
    `repeats_needed` is the estimated total number of repeats for it, given the spread of these. `correlation` is that
    of a repeat with the next one for which the interval allows, None without a tolerance. `equivalent_to` is the point
    whose ratio to this one was within the margin of equivalence, so that this one was measured no further.
    """

    metric: Literal["joules_per_inference", "inferences_per_second"]
    relative_half_width: float | None
    tolerance: float | None
    converged: bool | None
    repeats_needed: int | None
    correlation: float | None = None
    equivalent_to: str | None = None


UNKNOWN_CONVERGENCE = Convergence("inferences_per_second", None, None, None, None)
"""The convergence of a point without a repeat."""


class Summary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Repeats of one quantity, in the unit of the values.

    `standard_deviation` is the sample's (n - 1), `cv` its share of the absolute mean. `lower` and `upper` bound the
    mean with 95 % confidence, by Student's t. A field that one value, or a mean of 0, cannot give is None.
    """

    count: int
    mean: float
    standard_deviation: float | None
    cv: float | None
    lower: float | None
    upper: float | None


class LatencySummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The latencies of some iterations, all in the unit of the values.

    A percentile of the tail is None below the count at which the slowest value exceeds it with 95 % confidence: 29 for
    p90, 59 for p95, 299 for p99 (1 - q^n >= 0.95).
    """

    count: int
    mean: float
    minimum: float
    p50: float
    p90: float | None
    p95: float | None
    p99: float | None
    maximum: float
