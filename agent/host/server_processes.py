"""Finds the processes of a server from the port on which it listens, and measures their processor time (proc(5))."""

from __future__ import annotations

import math
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from agent.host.server import listening_processes
from probes.cpu.utilization import TICK_SECONDS

SEARCH_SECONDS = 30.0
"""The time between two searches for the processes of a server: a search reads the links of every process."""
_PARENT, _USER, _SYSTEM, _STARTED = 1, 11, 12, 19
"""Fields of /proc/PID/stat after the name: parent, user and system time, start after boot."""
_UNIT = re.compile(
    r"/([^/@]+(?:@[^/]*)?\.service|(?:docker|cri-containerd|crio|libpod)-[0-9a-f]+\.scope|[0-9a-f]{64})$"
)
"""The control group of one service or container; that of a login session holds unrelated programs."""


class Process(NamedTuple):
    """One process: its parent, its start and its processor time, in clock ticks."""

    parent: int
    started: int
    ticks: int


class ServerProcesses:
    """The processes of the server that listens on a TCP port of this host.

    They are the listening process and its descendants, or all processes of its service or container. None are found if
    the links of the listening process cannot be read, or if it only forwards to a container.
    """

    def __init__(self, procfs: str, port: int) -> None:
        self._procfs = Path(procfs)
        self._port = port
        self._searched = -SEARCH_SECONDS
        self._pids: frozenset[int] = frozenset()
        self._last: dict[int, Process] = {}
        self._owner = 0

    def advance(self) -> tuple[frozenset[int], float, float] | None:
        """Return the processes, their processor seconds since the last call, and the seconds since the server's start.

        None if no process is found.
        """
        now = time.monotonic()
        known = {pid: process for pid in self._pids if (process := self._process(pid))}
        if known.keys() != self._pids or now - self._searched >= SEARCH_SECONDS:
            self._searched = now
            known = self._search()
        before, self._last, self._pids = self._last, known, frozenset(known)
        if not known:
            return None
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - known[self._owner].started * TICK_SECONDS
        return self._pids, _used_ticks(before, known) * TICK_SECONDS, age if age >= 0 else math.inf

    def _search(self) -> dict[int, Process]:
        owners = listening_processes(self._port, self._procfs)
        if owners is None:
            return {}
        every = {int(entry.name): process for entry in self._folders() if (process := self._process(int(entry.name)))}
        oldest = min(((every[pid].started, pid) for pid in owners if pid in every), default=None)
        if oldest is None:
            return {}
        self._owner = oldest[1]
        unit = self._unit(oldest[1])
        found = {pid for pid in every if pid in owners or (unit and self._unit(pid) == unit)}
        while more := {pid for pid, process in every.items() if process.parent in found} - found:
            found |= more
        return {pid: every[pid] for pid in found}

    def _folders(self) -> list[Path]:
        with suppress(OSError):
            return [entry for entry in self._procfs.iterdir() if entry.name.isdecimal()]
        return []

    def _unit(self, pid: int) -> str:
        """Return the control group of a process if it is that of one service or container, else nothing."""
        with suppress(OSError):
            group = (self._procfs / str(pid) / "cgroup").read_text(errors="replace").strip().rpartition(":")[2]
            if _UNIT.search(group) and "/user@" not in group:
                return group
        return ""

    def _process(self, pid: int) -> Process | None:
        with suppress(OSError, ValueError, IndexError):
            fields = (self._procfs / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            used = int(fields[_USER]) + int(fields[_SYSTEM])
            return Process(int(fields[_PARENT]), int(fields[_STARTED]), used)
        return None


def _used_ticks(before: dict[int, Process], now: dict[int, Process]) -> int:
    """Return the ticks that processes used between two observations; 0 at the first one.

    A process that was not known before counts from its start, unless it is older than every known one.
    """
    if not before:
        return 0
    newest = max(process.started for process in before.values())
    used = 0
    for pid, process in now.items():
        last = before.get(pid)
        if last and last.started == process.started:
            used += max(0, process.ticks - last.ticks)
        elif process.started > newest:
            used += process.ticks
    return used
