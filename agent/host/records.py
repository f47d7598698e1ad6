"""Records of the conditions around the windows of a run: other load, and the settings of the machine."""

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
"""The metrics that describe the state of a device."""

WindowKey = tuple[str, str, int]
"""The identity of a window in its run: its point, phase and repeat."""


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """The users of one GPU during one window: added shares of the time in which their processes used it.

    `own` are this program and its children, `others` all other processes; both can exceed 1 if processes compute at the
    same moment. `programs` is the number of others that had it open for computing at the end of the window. None:
    unknown.
    """

    device: str
    own: float | None
    others: float | None
    programs: int | None


@dataclass(frozen=True, slots=True)
class HostLoad:
    """The use of the processors around one window, in seconds of processor time over `seconds` of time.

    It covers the time from just before the command to the workload until its answer, so it contains the window. `own`
    is the time of this program and its children, including the workload, `others` that of all other processes, `stolen`
    the time that a hypervisor gave to other guests. `open_seconds` is the uncertainty of the clock tick. `throttles` is
    the number of throttle events of the processor with most of them; None if the kernel does not count them. `gpus` has
    one entry for each GPU whose driver can be queried. `quota_stopped` is the time for which a CPU quota stopped this
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

    `cpu_frequency_limits_hertz` are the highest frequencies that the governors may choose, `power_limits_watts` the
    limits of the RAPL zones by name and constraint, `cpu_celsius` the hottest CPU sensor. `cpu_quota_cpus`,
    `usable_cpus` and `memory_limit_bytes` are the limits of this program's control groups; null without one.
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
    """The conditions of a run beside its windows and its energy.

    `series` are those of the metrics in `CONDITION_METRICS`; `silent` are devices whose power sensors returned nothing.
    `mode` is the mode's name, `tolerance` the requested relative half-width, or None. `faults` are the sensors that
    failed during the run, each as `device/domain: reason`. `equivalent` has the points that were measured no further
    because they are equivalent to another one: the name of that one, by the encoded point. `power_limits` are those of
    the RAPL zones in watts at both edges of each window.
    """

    loads: Mapping[WindowKey, HostLoad] = field(default_factory=dict)
    series: tuple[Series, ...] = ()
    start: HostSettings | None = None
    end: HostSettings | None = None
    silent: tuple[str, ...] = ()
    mode: str = ""
    tolerance: float | None = None
    faults: tuple[str, ...] = ()
    equivalent: Mapping[str, str] = field(default_factory=dict)
    power_limits: Mapping[WindowKey, tuple[Mapping[str, float], ...]] = field(default_factory=dict)


def window_key(window: Window) -> WindowKey:
    """Return the key of a window in `RunEnvironment.loads`."""
    return window.point, window.phase, window.repeat
