"""Observes the processors, the GPUs and the processes of the servers, once in each round of scrapes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agent.attribution.claims import HostActivity, ServerActivity
from agent.host.activity import has_host_pids
from agent.host.gpu_activity import GpuActivityMonitor
from agent.host.server_processes import ServerProcesses
from probes.cpu.utilization import TICK_SECONDS, Times, parse_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.config.serving import ServingConfig
    from agent.host.gpu_activity import GpuHandle
    from probes.model import Roots


class HostObserver:
    """Reads /proc and queries the drivers of GPUs; `advance` returns the activity since its last call."""

    def __init__(self, roots: Roots, servers: Sequence[ServingConfig], gpus: Sequence[GpuHandle]) -> None:
        self._procfs = Path(roots.procfs)
        self._processes = {server.name: ServerProcesses(roots.procfs, server.port) for server in servers}
        has_numbers = has_host_pids(roots.procfs, os.getpid())
        self._gpus = GpuActivityMonitor(gpus if has_numbers else ())
        self._times: Mapping[int, Times] = {}
        self._since_us = 0

    def servers(self) -> dict[str, ServerActivity | None]:
        """Return the activity of the processes of each server, None for those that are not visible."""
        found: dict[str, ServerActivity | None] = {}
        for name, processes in self._processes.items():
            step = processes.advance()
            found[name] = ServerActivity(*step) if step else None
        return found

    def host(self, now_us: int) -> HostActivity:
        """Return the activity of the processors and the GPUs at a Unix time in microseconds."""
        times: Mapping[int, Times] = {}
        with suppress(OSError, ValueError):
            times = parse_times((self._procfs / "stat").read_bytes())
        before, self._times = self._times, times
        worked = [(before[cpu], after) for cpu, after in times.items() if cpu in before]
        busy = sum(max(0, new.busy - old.busy) for old, new in worked) * TICK_SECONDS
        since_us, self._since_us = self._since_us or now_us, now_us
        users = self._gpus.snapshot(since_us)
        return HostActivity(busy if worked else None, len(times), {gpu: each for gpu, each in users.items() if each})
