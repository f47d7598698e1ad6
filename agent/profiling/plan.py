"""The measurement plans (modes), their duration, and windows that are long enough for the sensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.energy.counted_sensors import best_channels, coverage
from agent.energy.measurement import WINDOW_MARGIN_FACTOR
from agent.energy.read_rates import needed_seconds
from agent.profiling.analysis.sequential import FEWEST_REPEATS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from probes.model import Channel

SETTLE_SECONDS = 0.5
"""The pause before an idle baseline."""
IDLE_PART_SECONDS = 0.5
"""The length of the parts of an idle baseline whose spread shows how well the idle power is known."""
IDLE_PARTS = 4
"""The fewest parts of an idle baseline."""
IDLE_WINDOWS = 4
"""The idle baselines of a run that loads its own model: two before the sweep and two after it."""
STEADY_CHUNKS = 4
"""The number of short measurements in a row that must show no trend before a warm-up ends."""


@dataclass(frozen=True, slots=True)
class MeasurementPlan:
    """The length and the number of the windows of a run.

    A repeat lasts at least `window_seconds` and at least `iterations`. A warm-up ends when throughput is steady, or
    after `warmup_seconds`. With a `tolerance`, a share of the mean, repeats continue until the half-width of every
    point's 95 % interval is at most that, or the run has taken `budget_seconds`; an idle baseline ends when its power
    is known as well, after at least four parts of `idle_part_seconds`. `equivalence` is the margin, a share, within
    which a point that equals the best one is measured no further. `limiting_sensor` is the sensor that made the windows
    longer than requested.
    """

    name: str
    idle_seconds: float
    warmup_seconds: float
    repeats: int
    window_seconds: float
    iterations: int
    tolerance: float | None = None
    budget_seconds: float | None = None
    equivalence: float | None = None
    idle_part_seconds: float = IDLE_PART_SECONDS
    limiting_sensor: str | None = None


PLANS = {
    plan.name: plan
    for plan in (
        MeasurementPlan("quick", 3.0, 2.0, 3, 1.5, 3),
        MeasurementPlan("standard", 15.0, 10.0, 5, 10.0, 10),
        MeasurementPlan("rigorous", 60.0, 30.0, 5, 60.0, 30),
    )
}


def chunk_seconds(plan: MeasurementPlan) -> float:
    """Return the length of one short measurement of a warm-up."""
    return min(plan.warmup_seconds / STEADY_CHUNKS / 2, 1.0)


def least_idle_seconds(plan: MeasurementPlan) -> float:
    """Return the least length of an idle baseline; with a tolerance it may end early."""
    early = plan.idle_seconds if plan.tolerance is None else IDLE_PARTS * plan.idle_part_seconds
    return min(plan.idle_seconds, early)


def planned_seconds(plan: MeasurementPlan, windows: int, idle_windows: int = IDLE_WINDOWS) -> float:
    """Return the least duration of a run; `windows` is the number of points times the number of their phases."""
    warm_up = (STEADY_CHUNKS + plan.repeats - 1) * chunk_seconds(plan)
    repeats = plan.repeats * plan.window_seconds
    return idle_windows * (SETTLE_SECONDS + least_idle_seconds(plan)) + windows * (warm_up + repeats)


def plan_for_tolerance(plan: MeasurementPlan, channels: Iterable[Channel]) -> MeasurementPlan:
    """Return a plan with enough repeats, and windows and idle baselines that suffice for every counted sensor.

    A plan without a tolerance remains as it is.

    Sensors that no window length helps are left out: models, and gauges that see only a part of the time.
    """
    if plan.tolerance is None:
        return plan
    counted = coverage(best_channels(channels)).includes
    needed = [(WINDOW_MARGIN_FACTOR * needed_seconds(each, plan.tolerance), each.path) for each in counted]
    seconds, name = max((each for each in needed if math.isfinite(each[0])), default=(0.0, ""))
    repeats, part = max(plan.repeats, FEWEST_REPEATS), max(IDLE_PART_SECONDS, seconds / IDLE_PARTS)
    plan = replace(plan, repeats=repeats, idle_part_seconds=part)
    if seconds <= plan.window_seconds:
        return plan
    return replace(plan, window_seconds=seconds, limiting_sensor=name)


def duration_text(seconds: float) -> str:
    """Return a duration for a message: `45 s`, `12 min`."""
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes > 1 else f"{seconds:.0f} s"
