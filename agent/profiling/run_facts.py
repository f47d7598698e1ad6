"""Facts of a run in the profile document, as frozen records: plan, host, sampler, drift, agreement, checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The schema is made from these annotations, so they are imported for real.
from agent.host.records import Surroundings  # noqa: TC001


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check of a point.

    A failed check of severity `invalid` withholds the point's energy and cost figures, one of severity `warning` is a
    reason for doubt. `unknown` means that the host gave nothing to judge by.
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
    """Return the result of a check; `passed` None means that there is nothing to judge by."""
    return CheckResult(name, "unknown" if passed is None else "passed" if passed else "failed", severity, message)


@dataclass(frozen=True, slots=True)
class SensorAgreement:
    """A power gauge, integrated over time, against the energy counter of the same domain, over a point's windows.

    `relative_difference` is the gauge's energy over the counter's, minus 1. `preferred` is the sensor that the figures
    come from, `reason` the ground for that.
    """

    device: str
    domain: str
    relative_difference: float
    preferred: Literal["counter"]
    reason: str


@dataclass(frozen=True, slots=True)
class IdleDrift:
    """The change of the whole boundary's idle power from before the sweep to after it.

    `relative_change` is the change over the mean of both. `limit` is its largest acceptable value: a tenth, plus the
    sensors' own bounds.
    """

    state: Literal["unloaded", "loaded"]
    change_watts: float
    relative_change: float
    limit: float


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """The measurement plan: length and number of the windows of every point, and the order of the points.

    A window lasts `window_seconds` and `min_iterations` at least, both. `tolerance` is the requested relative
    half-width, `budget_seconds` the time limit for reaching it, both None if none was requested. `limiting_sensor` is
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


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The measured machine; `id` survives reboots, `boot_id` does not."""

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


@dataclass(frozen=True, slots=True)
class ThrottledPeriod:
    """A stretch of time in which the CPU budget delayed reads, in Unix nanoseconds, and the sum of the delays."""

    start_ns: int
    end_ns: int
    delayed_seconds: float


@dataclass(frozen=True, slots=True)
class SamplerFacts:
    """The scheduling of the thread that reads the sensors, the CPU reserved for it, and the reads it lost.

    `limitation` is the reason for anything it was not granted, None if it has all it requested. `cpu_budget` is the
    share of one CPU that sampling may use, None without a limit, and `cpu_share` the share that it used.
    `reads_throttled` did not happen because of the budget, in the periods `throttled`. `faults` are the sensors that
    fail or do not answer at the end, with the reason. Documents before schema 2.0 have none of these.
    """

    policy: str
    priority: int
    cpu: int | None
    limitation: str | None
    reads_missed: int
    reads_late: int
    reads_throttled: int = 0
    throttled: tuple[ThrottledPeriod, ...] = ()
    cpu_budget: float | None = None
    cpu_share: float | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostState:
    """The settings and temperature of the host before the first baseline and after the last one.

    `after` is None if the run ended early.
    """

    before: Surroundings | None
    after: Surroundings | None
