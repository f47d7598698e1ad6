"""Gathers the facts of this host for the head of a campaign: sensors, clock, and what else runs."""

from __future__ import annotations

import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent.campaigns.facts import DeviceFacts, HostFacts
from agent.config.paths import state_folder
from agent.energy.counted_sensors import best_channels, coverage
from agent.energy.provenance import provenance
from agent.host.activity import ActivityMonitor, cpu_usage_between
from agent.host.gpu_activity import GpuHandle
from agent.host.inventory import host_id
from agent.profiling.analysis.background import other_cpu_seconds
from agent.profiling.turns import run_in_turn
from probes.text import one_line

if TYPE_CHECKING:
    from agent.config import Config
    from probes.registry import Discovery

_LOOK_SECONDS = 1.0
"""The time over which the load of other programs is measured."""
_LONGEST_START_SECONDS = 60.0
_START_FIELD = 19
"""The field `starttime` of /proc/PID/stat after the name, in ticks since the boot (proc(5))."""


def gather(config: Config, found: Discovery, name: str) -> HostFacts:
    """Return the facts of this host, whose name is `name`; it takes a second."""
    started_ns = process_start_ns()
    gpus = [probe for probe in found.probes if isinstance(probe, GpuHandle)]
    monitor = ActivityMonitor(config.roots, gpus)
    before = monitor.snapshot()
    time.sleep(_LOOK_SECONDS)
    load = cpu_usage_between(before, monitor.snapshot(before))
    covered = coverage(best_channels(found.channels))
    devices = {channel.device.id: channel.device for probe in found.probes for channel in probe.channels}
    return HostFacts(
        schema="inferometer.facts",
        id=host_id(),
        name=one_line(name),
        version=version("inferometer"),
        started_ns=started_ns,
        devices=tuple(
            DeviceFacts(one_line(each.id), each.kind.value, one_line(each.name)) for each in devices.values()
        ),
        energy=provenance(covered.includes).value if covered.includes else None,
        boundary=covered.boundary.value,
        other_load=other_cpu_seconds(load) / load.seconds / load.processors if load and load.processors else None,
        gpu_users=tuple(one_line(gpu.device) for gpu in load.gpus if gpu.programs) if load else (),
        measuring=one_line(run_in_turn(state_folder(config.database))),
        ended_ns=time.time_ns(),
    )


def process_start_ns() -> int:
    """Return the Unix time at which this process started, by the clock of now; now if the kernel does not show it.

    The head sent the command just before it, and the start of Python takes longer than the way.
    """
    now_ns = time.time_ns()
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
        seconds = uptime - int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return now_ns
    return now_ns - round(seconds * 1e9) if 0 <= seconds <= _LONGEST_START_SECONDS else now_ns
