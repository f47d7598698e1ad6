"""What surrounded the windows of a run, as records: who else was at work, and how the machine was set."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  the schema is made from these annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from store.records import Series, Window

CONDITION_METRICS = frozenset(
    {
        "temperature_celsius",
        "frequency_hertz",
        "power_limit_watts",
        "throttle_reasons",
        "throttled_seconds",
        "utilization_ratio",
    }
)
"""The metrics that tell in which state a device was."""

WindowKey = tuple[str, str, int]
"""What tells a window of a run from every other: its point, phase and repeat."""


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """Who used one GPU during one window: the shares of the time in which processes kept it busy, each added up.

    `own` are this program and its children, `others` everybody else; both can exceed 1 where processes compute at the
    same moment. `programs` is how many others had it open for computing when the window had ended. None: not known.
    """

    device: str
    own: float | None
    others: float | None
    programs: int | None


@dataclass(frozen=True, slots=True)
class HostLoad:
    """Who used the processors around one window, in seconds of processor time over `seconds` of time.

    It is taken from just before the workload is told to run until it has answered, so it holds the window. `own` is
    the time of this program and its children, the workload among them, `others` that of everybody else, `stolen` what
    a hypervisor gave to other guests. `open_seconds` is what the clock tick leaves open. `throttles` is by how many
    events the processor that was slowed down most often was; None where the kernel does not count them. `gpus` has one
    entry for each GPU whose driver can be asked. `quota_stopped` is the time for which a CPU quota stopped this
    program; None without a quota.
    """

    seconds: float
    processors: int
    own: float
    others: float
    stolen: float
    open_seconds: float
    throttles: int | None
    gpus: tuple[GpuLoad, ...] = ()
    quota_stopped: float | None = None


class HostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings and temperature of the host at one moment, as far as the kernel reports them.

    `cpu_frequency_limits_hertz` are the highest frequencies the governors may choose, `power_limits_watts` the limits
    of the RAPL zones by name and constraint, `cpu_celsius` the hottest CPU sensor. `cpu_quota_cpus`, `usable_cpus` and
    `memory_limit_bytes` are the limits of the control groups of this program; null without one.
    """

    cpu_governors: tuple[str, ...]
    cpu_frequency_limits_hertz: tuple[float, ...]
    power_limits_watts: Mapping[str, float]
    cpu_celsius: float | None
    cpu_quota_cpus: float | None = None
    usable_cpus: int | None = None
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """All that is known of a run beside its windows and its energy.

    `series` are those of the metrics in `CONDITION_METRICS`; `silent` are devices whose sensors of power gave nothing.
    `mode` is the mode's name, `tolerance` the half-width asked for, as a share, None if none was.
    `faults` are the sensors that failed during the run, each as `device/domain: why`.
    """

    loads: Mapping[WindowKey, HostLoad] = field(default_factory=dict)
    series: tuple[Series, ...] = ()
    start: HostSettings | None = None
    end: HostSettings | None = None
    silent: tuple[str, ...] = ()
    mode: str = ""
    tolerance: float | None = None
    faults: tuple[str, ...] = ()


def window_key(window: Window) -> WindowKey:
    """Return what a window goes by in `RunEnvironment.loads`."""
    return window.point, window.phase, window.repeat
