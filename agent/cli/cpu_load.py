"""Processes that keep CPUs busy, so that the host draws a known pattern of power."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.runtime.realtime import REALTIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = """
import os, sys
os.nice(19)
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""
"""It ends within milliseconds if this process is gone, however that ended."""


class CpuLoad:
    """Busy processes of the lowest priority, one for each busy CPU."""

    def __init__(self) -> None:
        self.cpus = len(os.sched_getaffinity(0))
        self._running: list[subprocess.Popen[bytes]] = []

    def set(self, share: float) -> None:
        """Keep this share of the usable CPUs busy, 0 to 1: for any share but 0, one CPU or more."""
        wanted = max(1, round(self.cpus * share)) if share else 0
        while len(self._running) > wanted:
            process = self._running.pop()
            process.kill()
            process.wait()
        line = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(os.getpid())]
        with REALTIME_LIMIT.lifted():
            while len(self._running) < wanted:
                self._running.append(subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True))


@contextmanager
def cpu_load() -> Iterator[CpuLoad]:
    """Yield a load that ends with the block."""
    load = CpuLoad()
    try:
        yield load
    finally:
        load.set(0.0)
