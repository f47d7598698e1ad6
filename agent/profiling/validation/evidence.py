"""The evidence that the checks of a point use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.profiling.run_facts import UNKNOWN_CONDITIONS, UNKNOWN_CONVERGENCE, Conditions, Convergence

if TYPE_CHECKING:
    from agent.cost.interval import Interval
    from agent.energy.window import WindowEnergy
    from agent.profiling.run_facts import IdleDrift, SensorAgreement
    from agent.profiling.serving_records import ServingFigures
    from store.records import Window

IMPORTED = "imported"
"""The mode of a profile whose load another program sent, mostly in a single run and with timing of its own."""


@dataclass(frozen=True, slots=True)
class ServingEvidence:
    """The evidence about a load on a server.

    `typical_seconds` is the median time to the first token, or of a whole request without streaming. `capped` states
    whether an open loop reached its limit of requests under way, `without_counts` is the number of successful requests
    with an unknown number of tokens. `idle_watts` is the power of the idle server's host, None if unknown.
    """

    figures: ServingFigures
    typical_seconds: float
    capped: bool
    without_counts: int
    idle_watts: Interval | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence about a point: its windows by repeat, the energies of every counted sensor, and the totals.

    `sampling_period_seconds` is the longest requested time between two reads, `devices_expected` the number of sensors
    in the total; `joules_per_inference`, `rates` (inferences per second) and `watts` have one entry for each repeat.
    `agreement` compares power gauges with counters. `power_profiles` are, by phase, the power in each part of a window
    over that of the whole window. `processors` is the number of CPUs of the host, 0 if unknown. `silent_devices` have
    power sensors without samples; `mode` is the name of the mode. `faults` are the failed sensors, each as
    `device/domain: reason`. `serving` is None unless the point is a load on a server.
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
    serving: ServingEvidence | None = None
