"""Looks at the processors just before and just after a window: who used them, and whether heat slowed them down.

Processor time comes from /proc/stat and from /proc/PID/stat of this process and its children (proc(5)). Nothing is
looked for while a window is on, and no other process is ever looked at: what others used is what is left over.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.profiling.circumstances import Load
from probes.cpu import TICK_SECONDS, Times, parse_times
from probes.sysfs import read_int

if TYPE_CHECKING:
    from collections.abc import Mapping

    from probes.model import Roots

_TIMES = slice(11, 15)
"""Of /proc/PID/stat behind the name: utime, stime, and both of the children that were waited for."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What one look found: processor times since boot, our own seconds of them, and the throttle events by file."""

    at_ns: int
    times: Mapping[int, Times]
    own_seconds: float | None
    throttles: Mapping[Path, int]


class Witness:
    """Takes the looks; the files that count throttle events are found once."""

    def __init__(self, roots: Roots, pid: int | None = None) -> None:
        self._procfs = Path(roots.procfs)
        self._pid = os.getpid() if pid is None else pid
        # Without CONFIG_PROC_CHILDREN the workload would count among the others.
        self._tells_children = Path(roots.procfs, f"{self._pid}/task/{self._pid}/children").exists()
        folders = Path(roots.sysfs, "devices/system/cpu").glob("cpu[0-9]*/thermal_throttle")
        self._throttles = tuple(
            path for folder in folders for path in sorted(folder.glob("*_throttle_count")) if read_int(path) is not None
        )

    def look(self) -> Glance:
        """Look now; what cannot be read is not in the answer."""
        times: Mapping[int, Times] = {}
        with suppress(OSError, ValueError):
            times = parse_times((self._procfs / "stat").read_bytes())
        counts = ((path, read_int(path)) for path in self._throttles)
        events = {path: count for path, count in counts if count is not None}
        return Glance(time.monotonic_ns(), times, self._own_seconds(), events)

    def _own_seconds(self) -> float | None:
        """Return the processor time of this process and all below it; None if these are not to be seen."""
        if not self._tells_children:
            return None
        total, waiting = 0.0, [self._pid]
        while waiting:
            folder = self._procfs / str(waiting.pop())
            total += _processor_seconds(folder)
            waiting += _children(folder)
        return total


def load_between(before: Glance, after: Glance) -> Load | None:
    """Return who used the processors between two looks; None if they tell nothing, or the counters stood still."""
    worked = [(before.times[cpu], times) for cpu, times in after.times.items() if cpu in before.times]
    busy = sum(max(0, new.busy - old.busy) for old, new in worked) * TICK_SECONDS
    stolen = sum(max(0, new.stolen - old.stolen) for old, new in worked) * TICK_SECONDS
    idle = sum(max(0, new.idle - old.idle) + max(0, new.iowait - old.iowait) for old, new in worked)
    if before.own_seconds is None or after.own_seconds is None or not (busy or stolen or idle):
        return None
    own = max(0.0, after.own_seconds - before.own_seconds)
    events = [count - before.throttles[path] for path, count in after.throttles.items() if path in before.throttles]
    return Load(
        seconds=(after.at_ns - before.at_ns) / 1e9,
        processors=len(worked),
        own=own,
        others=max(0.0, busy - own),
        stolen=stolen,
        open_seconds=len(worked) * TICK_SECONDS,
        throttles=max(events, default=None),
    )


def _processor_seconds(folder: Path) -> float:
    """Return what a process used; 0 if it has ended, for then its parent has it."""
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
