"""The work of each server on a device in an interval, by the best method that the observations allow; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.attribution.parts import CPU_TIME, DEVICE, GPU_TIME, TOKENS, Work, tokens_of
from probes.cpu.utilization import TICK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.attribution.increments import Increment
    from probes.nvml.library import GpuProcesses

PROCESSOR_KINDS = frozenset({"cpu", "memory"})
"""The kinds of devices whose energy follows the time of the processors."""
_GPU_RESOLUTION = 0.01
"""NVML reports the share of a process in percent."""
_FIELDS_OF_TIME = 2
"""/proc/PID/stat has user and system time, each in whole ticks."""
_QUIET_SHARE = 0.05
"""The share of the processors, or of a GPU, that other processes may use in a drained minute."""


@dataclass(frozen=True, slots=True)
class ServerActivity:
    """The processes of a server now, their processor time since the last observation, and the server's age."""

    pids: frozenset[int]
    cpu_seconds: float
    age_seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class HostActivity:
    """The busy time of the processors since the last observation, their number, and the users of each GPU.

    `busy_seconds` is None if it is unknown, and `gpus` has no GPU whose processes are not visible.
    """

    busy_seconds: float | None = None
    processors: int = 0
    gpus: Mapping[str, GpuProcesses] = field(default_factory=dict)


def work_of(
    device: str,
    kind: str,
    seconds: float,
    servers: Mapping[str, ServerActivity | None],
    increments: Mapping[str, Increment],
    host: HostActivity,
) -> Work:
    """Return the work of the servers that use a device in an interval of some seconds.

    Processes count if those of every server are visible: by the time that each used the GPU, or by processor time. Else
    the only server of a device has all of its work, and several are split by tokens.
    """
    visible = {name: activity for name, activity in servers.items() if activity is not None}
    if len(visible) == len(servers):
        users = host.gpus.get(device)
        if users is not None and users.shares is not None:
            own = {
                name: seconds * sum(share for pid, share in users.shares.items() if pid in activity.pids)
                for name, activity in visible.items()
            }
            claimed = frozenset[int]().union(*(activity.pids for activity in visible.values()))
            others = seconds * sum(share for pid, share in users.shares.items() if pid not in claimed)
            processes = max(1, len(users.shares))
            return Work(GPU_TIME, own, others, _GPU_RESOLUTION * seconds * processes)
        if kind in PROCESSOR_KINDS and host.busy_seconds is not None:
            own = {name: activity.cpu_seconds for name, activity in visible.items()}
            processes = max(1, *(len(activity.pids) for activity in visible.values()))
            others = max(0.0, host.busy_seconds - math.fsum(own.values()))
            return Work(CPU_TIME, own, others, _FIELDS_OF_TIME * TICK_SECONDS * processes)
    if len(servers) == 1:
        return Work(DEVICE, dict.fromkeys(servers, 1.0), 0.0, math.inf)
    tokens = {name: _tokens(increments.get(name)) for name in servers}
    return Work(TOKENS, tokens, 0.0, math.inf)


def _tokens(increment: Increment | None) -> float:
    return math.fsum(tokens_of(counts) for counts in increment.counts.values()) if increment else 0.0


def is_drained(work: Work, seconds: float, increments: Mapping[str, Increment], host: HostActivity) -> bool:
    """Return whether no server of a device had any request in an interval, and other processes hardly any work."""
    for name in work.servers:
        increment = increments[name]
        if any(increment.total(gauge) for gauge in ("running", "waiting")):
            return False
        if any(increment.total(count) for count in ("input_tokens", "output_tokens", "requests", "arrivals")):
            return False
    capacity = seconds * (host.processors if work.method == CPU_TIME else 1)
    return work.others <= _QUIET_SHARE * capacity
