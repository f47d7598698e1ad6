"""A run at constant power, and its only point."""

from __future__ import annotations

from agent.profiling.points import analyze
from synthetic_run import (
    PACKAGE,
    idle,
    power_steps,
    read,
    sensors,
    window,
)

IDLE = idle("idle_unloaded", 0.5, 2.5)
POWER = power_steps((40, 3), (50, 2), (100, 60))  # W and s: unloaded, loaded, busy
STATIC = read(PACKAGE, POWER, 14)


def only_point(windows, *series, tariff=None):
    (point,) = analyze(windows, sensors(*series), tariff)
    return point


def phased(batch=1):
    """Three repeats: 10 prompts of 100 tokens read in 1 s at 100 W, 5 answers of 19 more tokens in 2 s at 50 W."""
    windows = []
    for repeat, start in enumerate((6, 9, 12), 1):
        windows.append(window(repeat, start, start + 1, "prefill", 10, tokens=(100, 1), batch=batch))
        windows.append(
            window(repeat, start + 1, start + 3, "decode", 5, tokens=(0, 19), steps=[0.02] * 95, batch=batch)
        )
    return windows, read(PACKAGE, power_steps((40, 6), *((100, 1), (50, 2)) * 4), 16)
