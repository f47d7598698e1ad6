"""Measures windows with Zeus: its monitor's windows over all CPUs, with DRAM where it finds it."""

from __future__ import annotations

from peer_windows import Measured, answer, wanted
from zeus.monitor import ZeusMonitor


def measure() -> None:
    """Measure every window, after one that starts the processes with which it watches for wraps."""
    windows = wanted()
    monitor = ZeusMonitor(gpu_indices=[])
    monitor.begin_window("warm-up")
    monitor.end_window("warm-up")
    measured = []
    for number in range(windows.repeats):
        monitor.begin_window(str(number))
        start, end = windows.play()
        found = monitor.end_window(str(number))
        parts = {"package": found.cpu_energy, "dram": found.dram_energy}
        joules = {domain: sum(part.values()) for domain, part in parts.items() if part}
        measured.append(Measured(start, end, joules))
    answer(measured)


if __name__ == "__main__":  # its helper processes load this module once more
    measure()
