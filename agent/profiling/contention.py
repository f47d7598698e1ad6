"""Checks within the first seconds whether other programs load the host too much for a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.profiling.analysis.background import other_cpu_seconds

if TYPE_CHECKING:
    from agent.host.records import HostLoad

UNFIT_CPU_SHARE = 0.5
"""A profile needs confirmation if other programs use this share of the CPUs or more."""
BUSY_REMEDY = "stop them (`top` lists them), wait until they are done, or continue anyway with --force"


def contention(load: HostLoad | None) -> str:
    """Return the reason against a profile under this load, empty if there is none or the load is unknown."""
    if load is None or not load.processors:
        return ""
    others = min(other_cpu_seconds(load) / load.seconds, load.processors)
    stolen = min(load.stolen / load.seconds, load.processors)
    if max(others, stolen) < UNFIT_CPU_SHARE * load.processors:
        return ""
    who, cpus = ("other programs keep", others) if others >= stolen else ("other guests of the hypervisor keep", stolen)
    return (
        f"{who} {cpus:.1f} of {load.processors} CPUs busy: latency and throughput will be distorted, "
        "and the range of the energy will be wide"
    )
