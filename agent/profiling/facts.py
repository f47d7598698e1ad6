"""What a profile says of how its run went, as frozen records: effort, sampler, settings, drift, agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The schema is made from these annotations, so they are imported for real.
from agent.profiling.circumstances import Surroundings  # noqa: TC001


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a power gauge, summed over time, says beside the counter of the same domain, over all windows of a point.

    `share` is by how much the gauge's energy is above the counter's. `believe` is which of the two the figures are
    made of, and `because` why.
    """

    device: str
    domain: str
    share: float
    believe: Literal["counter"]
    because: str


@dataclass(frozen=True, slots=True)
class IdleDrift:
    """By how much the idle power of the whole boundary moved from before the sweep to after it.

    `share` is of the mean of both, `allowed` what it may be: a tenth, and what the sensors leave open.
    """

    state: Literal["unloaded", "loaded"]
    watts: float
    share: float
    allowed: float


@dataclass(frozen=True, slots=True)
class EffortFacts:
    """How long and how often every point was measured, and in which order.

    `tolerance` is the half-width asked for as a share of the mean, `budget_seconds` how long the run could go on for
    it, both None if none was asked for. `lengthened_for` is the sensor for which windows are longer than the mode's.
    `order_seed` gave the order of the points.
    """

    name: str
    idle_seconds: float
    warmup_seconds: float
    repeats: int
    window_seconds: float
    iterations: int
    tolerance: float | None
    budget_seconds: float | None
    lengthened_for: str | None
    order_seed: int


@dataclass(frozen=True, slots=True)
class SamplerFacts:
    """What the thread that reads the sensors had: its scheduling and its processor, and the beats it did not keep.

    `reason` says why it had no more than that, empty if it had all it asked for.
    """

    policy: str
    priority: int
    cpu: int | None
    reason: str
    beats_missed: int
    beats_late: int


@dataclass(frozen=True, slots=True)
class RunSurroundings:
    """How the machine was set before the first baseline and after the last; the end is None if it was not reached."""

    start: Surroundings | None
    end: Surroundings | None
