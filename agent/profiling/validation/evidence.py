"""What the checks of a point know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.profiling.run_facts import UNKNOWN_CONDITIONS, UNKNOWN_CONVERGENCE, Conditions, Convergence

if TYPE_CHECKING:
    from agent.energy.window import WindowEnergy
    from agent.profiling.run_facts import IdleDrift, SensorAgreement
    from store.records import Window


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a point is judged by: its windows by repeat, what every counted sensor says of each, and the totals.

    `sampling_period_seconds` is the longest time between two reads that was asked for; `devices_expected` how many
    sensors make up the total; `joules_per_inference`, `rates` (inferences a second) and `watts` have one entry a
    repeat. `agreement` is of the power gauges beside counters. `power_profiles` are, by phase, the power in each
    stretch of a window over that of the whole. `processors` is how many the host has, 0 if that is not known.
    `silent_devices` have sensors of power that gave nothing; `mode` is the mode's name. `faults` are the sensors that
    failed, each as `device/domain: why`.
    """

    windows: tuple[tuple[Window, ...], ...]
    energies: tuple[WindowEnergy, ...]
    devices_expected: int
    sampling_period_seconds: float
    joules_per_inference: tuple[float, ...]
    rates: tuple[float, ...]
    agreement: tuple[SensorAgreement, ...] = ()
    precision: Convergence = UNKNOWN_CONVERGENCE
    conditions: Conditions = UNKNOWN_CONDITIONS
    processors: int = 0
    idle_drift: tuple[IdleDrift, ...] = ()
    watts: tuple[float, ...] = ()
    power_profiles: tuple[tuple[float, ...], ...] = ()
    changed_settings: tuple[str, ...] = ()
    silent_devices: tuple[str, ...] = ()
    mode: str = ""
    faults: tuple[str, ...] = ()
