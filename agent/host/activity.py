"""Takes a snapshot of processor and GPU use before and after each window: users, and thermal throttling.

Processor time comes from /proc/stat and from /proc/PID/stat of this process, of the server under load if there is one,
and of the children of both (proc(5)). Nothing is read during a window, and no other process is ever read: the remaining
time belongs to others. A GPU's driver reports its users.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.host.gpu_activity import GpuActivityMonitor, gpu_loads
from agent.host.records import HostLoad
from agent.runtime.cgroup import read_limits, throttled_seconds
from probes.cpu.utilization import TICK_SECONDS, Times, parse_times
from probes.sysfs import read_int

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agent.host.gpu_activity import GpuHandle
    from probes.model import Roots
    from probes.nvml.library import GpuProcesses

_TIMES = slice(11, 15)
"""Fields of /proc/PID/stat after the name: utime, stime, and both of the children that were waited for."""

_HOST_PIDS = "pid:[4026531836]"
"""The target of /proc/PID/ns/pid in the host's own namespace of process numbers (Linux: PROC_PID_INIT_INO)."""


@dataclass(frozen=True, slots=True)
class ActivitySnapshot:
    """One snapshot: processor times since boot, the seconds of this program, and the throttle events by file.

    `quota_stopped` is the time for which a CPU quota has stopped this program, in seconds; None without a quota.
    `unix_us` is the moment in Unix microseconds. `own` are the processes of this program, None if a driver numbers them
    differently. `gpus` are the users of each GPU since the previous snapshot, by its id.
    """

    at_ns: int
    times: Mapping[int, Times]
    own_seconds: float | None
    throttles: Mapping[Path, int]
    unix_us: int = 0
    own: frozenset[int] | None = None
    gpus: Mapping[str, GpuProcesses | None] = field(default_factory=dict)
    quota_stopped: float | None = None


class ActivityMonitor:
    """Takes the snapshots; finds the files that count throttle events once.

    `server` are the processes of the server under load: they and their children count as this program. If they are None
    the load of other programs is unknown.
    """

    def __init__(
        self,
        roots: Roots,
        gpus: Sequence[GpuHandle] = (),
        pid: int | None = None,
        server: Collection[int] | None = (),
    ) -> None:
        self._procfs = Path(roots.procfs)
        self._pid = os.getpid() if pid is None else pid
        self._server = server
        self._gpu_monitor = GpuActivityMonitor(gpus)
        self._limits = read_limits(roots)
        # Without CONFIG_PROC_CHILDREN the workload would count as other load.
        self._can_list_children = Path(roots.procfs, f"{self._pid}/task/{self._pid}/children").exists()
        folders = Path(roots.sysfs, "devices/system/cpu").glob("cpu[0-9]*/thermal_throttle")
        self._throttles = tuple(
            path for folder in folders for path in sorted(folder.glob("*_throttle_count")) if read_int(path) is not None
        )
        # In a container a driver shows the host's process numbers, or none outside: neither identifies other users.
        self._shares_pid_namespace = has_host_pids(roots.procfs, self._pid)

    def snapshot(self, since: ActivitySnapshot | None = None) -> ActivitySnapshot:
        """Take a snapshot, with the use of GPUs since `before` if given; unreadable parts are left out."""
        times: Mapping[int, Times] = {}
        with suppress(OSError, ValueError):
            times = parse_times((self._procfs / "stat").read_bytes())
        counts = ((path, read_int(path)) for path in self._throttles)
        events = {path: count for path, count in counts if count is not None}
        stopped = throttled_seconds(self._limits)
        at_ns, unix_us = time.monotonic_ns(), time.time_ns() // 1000
        own = self._own()
        seconds = sum(_processor_seconds(self._procfs / str(pid)) for pid in own) if own else None
        gpus: Mapping[str, GpuProcesses | None] = {}
        if since:
            gpus = self._gpu_monitor.snapshot(since.unix_us)
        else:
            self._gpu_monitor.begin(unix_us)
        return ActivitySnapshot(
            at_ns, times, seconds, events, unix_us, own if self._shares_pid_namespace else None, gpus, stopped
        )

    def _own(self) -> frozenset[int] | None:
        """Return this process, the server and all of their descendants; None if they cannot be listed."""
        if not self._can_list_children or self._server is None:
            return None
        found, waiting = set[int](), [self._pid, *self._server]
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found.add(pid)
                waiting += _children(self._procfs / str(pid))
        return frozenset(found)


def cpu_usage_between(before: ActivitySnapshot, after: ActivitySnapshot) -> HostLoad | None:
    """Return the use of the processors between two snapshots; None if it is unknown or the counters did not change."""
    worked = [(before.times[cpu], times) for cpu, times in after.times.items() if cpu in before.times]
    busy = sum(max(0, new.busy - old.busy) for old, new in worked) * TICK_SECONDS
    stolen = sum(max(0, new.stolen - old.stolen) for old, new in worked) * TICK_SECONDS
    idle = sum(max(0, new.idle - old.idle) + max(0, new.iowait - old.iowait) for old, new in worked)
    if before.own_seconds is None or after.own_seconds is None or not (busy or stolen or idle):
        return None
    own = max(0.0, after.own_seconds - before.own_seconds)
    ours = None if before.own is None or after.own is None else before.own | after.own
    events = [count - before.throttles[path] for path, count in after.throttles.items() if path in before.throttles]
    seconds = (after.at_ns - before.at_ns) / 1e9
    return HostLoad(
        seconds=seconds,
        processors=len(worked),
        own=own,
        others=max(0.0, busy - own),
        stolen=stolen,
        open_seconds=len(worked) * TICK_SECONDS,
        throttles=max(events, default=None),
        gpus=gpu_loads(after.gpus, ours, seconds),
        quota_stopped=_increase(before.quota_stopped, after.quota_stopped),
    )


def _increase(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


def has_host_pids(procfs: str, pid: int) -> bool:
    """Return whether a process is in the host's own namespace of process numbers, whose numbers drivers show."""
    try:
        return str(Path(procfs, f"{pid}/ns/pid").readlink()) == _HOST_PIDS
    except OSError:
        return False


def _processor_seconds(folder: Path) -> float:
    """Return the processor time of a process; 0 if it has ended, because its parent then includes it."""
    try:
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[_TIMES])) * TICK_SECONDS
    except (OSError, ValueError):
        return 0.0


def _children(folder: Path) -> list[int]:
    """Return the processes that threads of this one started."""
    found = []
    for path in folder.glob("task/[0-9]*/children"):
        with suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return found
