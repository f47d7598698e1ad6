"""What the checks of a point know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.profiling.run_facts import NOT_TOLD, UNKNOWN_CONVERGENCE, Conditions, Convergence

if TYPE_CHECKING:
    from agent.energy.window import WindowEnergy
    from agent.profiling.run_facts import IdleDrift, SensorAgreement
    from store.records import Window


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a point is judged by: its windows by repeat, what every counted sensor says of each, and the totals.

    `beat_seconds` is the longest time between two reads that was asked for; `devices_expected` how many sensors make
    up the total; `joules_per_inference`, `rates` (inferences a second) and `watts` have one entry a repeat.
    `agreement` is of the power gauges beside counters. `shapes` are, by phase, the power in each stretch of a window
    over that of the whole. `processors` is how many the host has, 0 if that is not known. `silent_devices` have
    sensors of power that gave nothing; `effort` is the mode's name. `faults` are the sensors that failed, each as
    `device/domain: why`.
    """

    windows: tuple[tuple[Window, ...], ...]
    energies: tuple[WindowEnergy, ...]
    devices_expected: int
    beat_seconds: float
    joules_per_inference: tuple[float, ...]
    rates: tuple[float, ...]
    agreement: tuple[SensorAgreement, ...] = ()
    precision: Convergence = UNKNOWN_CONVERGENCE
    conditions: Conditions = NOT_TOLD
    processors: int = 0
    idle_drift: tuple[IdleDrift, ...] = ()
    watts: tuple[float, ...] = ()
    shapes: tuple[tuple[float, ...], ...] = ()
    changed_settings: tuple[str, ...] = ()
    silent_devices: tuple[str, ...] = ()
    effort: str = ""
    faults: tuple[str, ...] = ()
