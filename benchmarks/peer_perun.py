"""Measures windows with perun: its decorator around the work, one of its benchmarking rounds a window."""

from __future__ import annotations

import os
import tempfile

from peer_windows import Measured, answer, wanted
from perun import perun, register_callback


def measure() -> None:
    """Measure every window; perun writes its reports into a temporary folder."""
    windows = wanted()
    settings = {"rounds": windows.repeats, "log_lvl": "ERROR"}
    if windows.interval_seconds:
        settings["sampling_period"] = windows.interval_seconds
    spans: list[tuple[int, int]] = []
    rounds: list[dict[str, float]] = []

    def keep(found: object) -> None:
        for one in found.nodes.values():
            joules = {metric.value: figure.value for metric, figure in one.metrics.items() if "energy" in metric.value}
            rounds.append({"package": float(joules["cpu_energy"]), "dram": float(joules.get("dram_energy", 0.0))})

    @perun(**settings)
    def work() -> None:
        register_callback(keep)
        spans.append(windows.play())

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        work()
        os.chdir("/")
    answer([Measured(start, end, joules) for (start, end), joules in zip(spans, rounds, strict=True)])


if __name__ == "__main__":  # its helper process loads this module again
    measure()
