"""Splits the energy of a device in an interval into idle, attributed and unattributed parts; pure.

Each part has its own estimator:

- idle: the power of minutes without work (`agent.attribution.idle`) times the time;
- attributed: the energy above idle times a server's share of the work of the device;
- unattributed: the energy above idle times the share of everything else.

The parts never overlap and none is negative. Their sum differs from the energy of the device only if the device drew
less than its idle power; this difference is the residual, and the bounds of the energy and of the idle power limit it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.attribution.idle import IdlePower

NOTHING = Energy(0.0, 0.0, 0.0)
GPU_TIME, CPU_TIME, TOKENS, DEVICE = "gpu_time", "cpu_time", "tokens", "device"
"""The methods of a split: by the time that each process used a GPU, by processor time, by tokens (weighted as in
`tokens_of`), and the whole device for its only server."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a device in an interval: busy seconds or weighted tokens, by server and of everything else.

    `resolution` is the largest error of one of these amounts; infinite if the amounts do not follow the energy.
    """

    method: str
    servers: Mapping[str, float]
    others: float = 0.0
    resolution: float = 0.0


@dataclass(frozen=True, slots=True)
class DeviceParts:
    """The parts of the energy of a device in an interval; idle is shared equally by its servers.

    `residual` is the energy minus the sum of the parts, within plus or minus `residual_bound`.
    """

    idle: Energy
    attributed: Mapping[str, Energy]
    unattributed: Energy
    residual: float
    residual_bound: float


def split(energy: Energy, seconds: float, idle_power: IdlePower, work: Work) -> DeviceParts:
    """Split the energy of a device in an interval of some seconds.

    Without any work, the energy above idle is unattributed. Raises ValueError for a negative amount of work.
    """
    if min((work.others, *work.servers.values())) < 0:
        raise ValueError(f"a negative amount of work: {work}")
    idle = _within_device(idle_power.times(seconds), energy)
    dynamic = Energy(
        max(0.0, energy.joules - idle.joules),
        max(0.0, energy.lower - idle.upper),
        max(0.0, energy.upper - idle.lower),
    )
    everything = math.fsum((work.others, *work.servers.values()))
    attributed = {name: _portion(dynamic, own, everything, work) for name, own in work.servers.items()}
    rest = _portion(dynamic, work.others, everything, work)
    if not everything:
        rest = Energy(dynamic.joules, rest.lower, max(dynamic.joules, rest.upper))
    total = math.fsum((idle.joules, rest.joules, *(each.joules for each in attributed.values())))
    bound = (energy.upper - energy.lower) + (idle.upper - idle.lower)
    return DeviceParts(idle, attributed, rest, energy.joules - total, bound)


def _within_device(idle: Energy, energy: Energy) -> Energy:
    """Return idle energy with an upper bound of at most that of the device, as idle power is its lowest power."""
    return Energy(idle.joules, idle.lower, max(idle.joules, min(idle.upper, energy.upper)))


def _portion(dynamic: Energy, own: float, everything: float, work: Work) -> Energy:
    """Return the part of the energy above idle that belongs to an amount of work, `own` of `everything`."""
    if math.isinf(work.resolution):
        lowest, highest = (1.0, 1.0) if own and own == everything else (0.0, 1.0 if own or not everything else 0.0)
    else:
        others, spread = everything - own, work.resolution * len(work.servers)
        least, most = max(0.0, own - work.resolution), own + work.resolution
        lowest = least / (least + others + spread) if least else 0.0
        highest = most / (most + max(0.0, others - spread)) if most else 0.0
    share = own / everything if everything else 0.0
    return Energy(dynamic.joules * share, dynamic.lower * lowest, dynamic.upper * highest)


def tokens_of(counts: Mapping[str, float]) -> float:
    """Return the tokens of an increment as one amount: an output token counts as 2.5 input tokens.

    OpenCost uses the same ratio if it has no times of the phases.
    """
    return counts.get("input_tokens", 0.0) + OUTPUT_WEIGHT * counts.get("output_tokens", 0.0)


OUTPUT_WEIGHT = 2.5
