"""Measures windows with Zeus: its monitor's windows over all CPUs with DRAM, or over all GPUs with the option `gpu`."""

from __future__ import annotations

import time

began = time.monotonic()

from peer_windows import Measured, answer, wanted  # noqa: E402  the duration of its import is measured
from zeus.monitor import ZeusMonitor  # noqa: E402  same

START_SECONDS = 1.0 + 2 * (time.monotonic() - began)
"""Time to wait for the processes with which Zeus detects wraps: they import Zeus first."""


def measure() -> None:
    """Measure every window, after one that starts the processes with which Zeus detects wraps."""
    windows = wanted()
    gpu = "gpu" in windows.options
    monitor = ZeusMonitor(cpu_indices=[]) if gpu else ZeusMonitor(gpu_indices=[])
    monitor.begin_window("warm-up", sync_execution=False)
    monitor.end_window("warm-up", sync_execution=False)
    if "wrap" in windows.options:
        time.sleep(START_SECONDS)
    measured = []
    for number in range(windows.repeats):
        monitor.begin_window(str(number), sync_execution=False)  # no framework has work in flight
        start, end = windows.play()
        found = monitor.end_window(str(number), sync_execution=False)
        parts = {"package": found.cpu_energy, "dram": found.dram_energy, "gpu": found.gpu_energy}
        joules = {domain: sum(part.values()) for domain, part in parts.items() if part}
        measured.append(Measured(start, end, joules))
    answer(measured)


if __name__ == "__main__":  # its helper processes load this module again
    measure()
