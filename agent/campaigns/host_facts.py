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
from agent.host.server import find_server
from agent.profiling.analysis.background import other_cpu_seconds
from agent.profiling.turns import run_in_turn
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.config import Config
    from probes.registry import Discovery

_LOOK_SECONDS = 1.0
"""The time over which the load of other programs is measured."""
_LONGEST_START_SECONDS = 60.0
_START_FIELD = 19
"""The field `starttime` of /proc/PID/stat after the name, in ticks since the boot (proc(5))."""


def gather(config: Config, found: Discovery, name: str, servers: Sequence[str] = ()) -> HostFacts:
    """Return the facts of this host, whose name is `name`; it takes a second.

    `servers` are the URLs of the servers to be measured: those on this host are no other programs.
    """
    started_ns = process_start_ns()
    gpus = [probe for probe in found.probes if isinstance(probe, GpuHandle)]
    monitor = ActivityMonitor(config.roots, gpus, server=server_processes(servers, config.roots.procfs))
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


def server_processes(urls: Sequence[str], procfs: str) -> frozenset[int] | None:
    """Return the processes of the servers that are on this host; None if those of one are not visible, or none runs.

    A profile of a server treats its processes in the same way.
    """
    found = frozenset[int]()
    for server in (find_server(url, procfs) for url in urls):
        if server.local and server.processes is None:
            return None
        found |= server.processes or frozenset()
    return found


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
