"""Reads the CPU time of processes to the nanosecond, and their memory, as the kernel counts them."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PROC = Path("/proc")
_TICK_SECONDS = 0.01  # USER_HZ
_SCHEDULED = 2
"""Converts a process number into the clock of clock_getcpuclockid(3): the CPU time that the scheduler counted."""


@dataclass(frozen=True, slots=True)
class Share:
    """CPU time over time, in percent of one CPU: the median of some periods, the least and the most."""

    median: float
    least: float
    most: float

    def over(self, other: Share) -> float:
        """Return the ratio to the other."""
        return self.median / other.median


def shares(pids: Sequence[int], seconds: float, stretches: int) -> tuple[Share, ...]:
    """Measure processes, each with all of its descendants, side by side; return one share for each."""
    found: list[list[float]] = [[] for _ in pids]
    at_ns, before = time.monotonic_ns(), [cpu_ns(pid) for pid in pids]
    for _ in range(stretches):
        time.sleep(seconds / stretches)
        now_ns, after = time.monotonic_ns(), [cpu_ns(pid) for pid in pids]
        for share, first, last in zip(found, before, after, strict=True):
            share.append(100 * (last - first) / (now_ns - at_ns))
        at_ns, before = now_ns, after
    return tuple(Share(statistics.median(share), min(share), max(share)) for share in found)


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process and its descendants, user and system, ended ones included."""
    return sum(_own_ns(each) for each in (pid, *_descendants(pid)))


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    status = (PROC / str(pid) / "status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _own_ns(pid: int) -> int:
    """Return the CPU time of a process, with its ended threads and the children that it waited for."""
    running = time.clock_gettime_ns(~pid << 3 | _SCHEDULED)
    return running + round(sum(map(int, _stat(pid)[13:15])) * _TICK_SECONDS * 1e9)  # cutime, cstime


def _descendants(pid: int) -> list[int]:
    parents = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(_stat(int(folder.name))[1])
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
    found, waiting = [], [pid]
    for above in waiting:
        children = [child for child, parent in parents.items() if parent == above]
        found += children
        waiting += children
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; the name before them may contain any character."""
    return (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
