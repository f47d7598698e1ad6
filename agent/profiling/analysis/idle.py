"""Derives the idle power before and after the sweep, and its drift; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agent.cost.interval import Interval
from agent.energy.provenance import Provenance, provenance
from agent.profiling.analysis.intervals import quantity
from agent.profiling.analysis.metrics import idle_watts
from agent.profiling.records import Baseline, IdlePower
from agent.profiling.run_facts import IdleDrift

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.energy.bounds import Energy
    from agent.profiling.analysis.metrics import Sensors
    from store.records import Window

IDLE_UNLOADED = "idle_unloaded"
IDLE_LOADED = "idle_loaded"
BASELINES = (IDLE_UNLOADED, IDLE_LOADED)
"""The phases of the idle baselines of a run that loads its own model."""
BEFORE, AFTER = 0, 1
"""The `repeat` of an idle window: before the sweep or after it."""
MAX_IDLE_DRIFT = 0.1
"""The relative drift of idle power over a run from which the energy above idle is in doubt."""
_SIDES = (BEFORE, AFTER)

_STATES: dict[str, Literal["unloaded", "loaded"]] = {IDLE_UNLOADED: "unloaded", IDLE_LOADED: "loaded"}


def idle_windows(windows: Iterable[Window], phase: str) -> tuple[Window, ...]:
    """Return the idle windows of one phase, the one before the sweep first."""
    return tuple(window for window in windows if window.phase == phase)


def derive_baselines(windows: Sequence[Window], sensors: Sensors) -> tuple[Baseline, ...]:
    """Return the power of every idle window, by sensor and in total, in the order of measurement."""
    return tuple(_baseline(window, sensors) for window in windows if window.phase in _STATES)


def _baseline(window: Window, sensors: Sensors) -> Baseline:
    power = []
    for series in sensors.series:
        watts = idle_watts((window,), (series,))
        if watts is not None:
            channel = series.channel
            power.append(IdlePower(channel.device.id, channel.domain, quantity([watts], provenance([channel]))))
    total = idle_watts((window,), sensors.included)
    mean = None if total is None else quantity([total], sensors.source)
    when: Literal["before", "after"] = "before" if window.repeat == BEFORE else "after"
    return Baseline(_STATES[window.phase], when, window.seconds, mean, tuple(power))


def derive_drift(windows: Sequence[Window], sensors: Sensors) -> tuple[IdleDrift, ...]:
    """Return the drift of the idle power over the sweep, for each state that was measured before and after it."""
    found = []
    for phase, state in _STATES.items():
        watts = [idle_watts((window,), sensors.included) for window in idle_windows(windows, phase)]
        known = [each for each in watts if each is not None]
        mean = sum(each.joules for each in known) / len(_SIDES)
        if len(known) == len(_SIDES) and mean:
            before, after = known
            allowed = MAX_IDLE_DRIFT + _uncertainty_watts(known, sensors) / mean
            moved = after.joules - before.joules
            found.append(IdleDrift(state, moved, moved / mean, allowed))
    return tuple(found)


def _uncertainty_watts(watts: Sequence[Energy], sensors: Sensors) -> float:
    """Return the uncertainty of a difference by its sensors, in watts; the error of a model cancels out."""
    if sensors.source is not Provenance.MEASURED:
        return 0.0
    return sum((each.upper - each.lower) / 2 for each in watts)


def loaded_watts(windows: Sequence[Window], sensors: Sensors) -> Interval | None:
    """Return the total power of the loaded, idle model in watts; None if it was not measured."""
    watts = idle_watts(idle_windows(windows, IDLE_LOADED), sensors.included)
    return None if watts is None else Interval(watts.joules, watts.lower, watts.upper)
