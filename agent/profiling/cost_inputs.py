"""From a profile document to the uncertain measurements behind a cost, and to the split of tokens; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from agent.cost.token_split import Lengths, SplitInputs
from agent.cost.uncertain import MachineInputs, UncertainAmount
from agent.energy.student import t_quantile
from agent.profiling.pricing import lower_loads, met_share, point_cost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.cost.interval import Interval
    from agent.profiling.records import Document, Point, PointEnergy, UncertainValue

_LENGTHS = {"prompt_tokens", "output_tokens"}
"""The parameters that set the lengths of a request."""


def machine_inputs(document: Document, point: Point) -> MachineInputs:
    """Return the measurements of a machine at full use at a point, with inferences as units of work.

    Raises NoCostError if the point has no energy.
    """
    own = point_cost(point, document.baselines, document.points)
    energy = cast("PointEnergy", point.energy)  # point_cost refuses a point without it
    share, sensors = met_share(point), sensor_shares(document, point)
    idle = own.idle_watts
    loads = tuple((load, _power(watts, other, sensors)) for load, watts, other in lower_loads(point, document.points))
    return MachineInputs(
        joules=_joules(energy, 1 / share, sensors),
        rate=_rate(own.throughput, point.repeats),
        idle_watts=None if idle is None else _bounded(idle.mean, idle.lower or 0.0, idle.upper or idle.mean, sensors),
        loads=loads,
    )


def sensor_shares(document: Document, point: Point) -> tuple[tuple[str, float], ...]:
    """Return the sensors of the total by name, each with its share of the energy of a point."""
    counted = [each for each in point.energy.sensors if each.in_total] if point.energy else []
    joules = [each.joules_per_inference.total.mean for each in counted]
    if not sum(joules):
        return ((f"{document.host.id}/total", 1.0),)
    names = (f"{document.host.id}/{each.device}/{each.domain}" for each in counted)
    return tuple((name, each / sum(joules)) for name, each in zip(names, joules, strict=True))


def split_inputs(document: Document, point: Point) -> SplitInputs | None:
    """Return the measurements that separate input from output tokens; None without tokens or energy."""
    own = _lengths(document, point)
    if own is None:
        return None
    alike = [each for each in document.points if each is not point and _load(each) == _load(point)]
    others = tuple(found for each in alike if (found := _lengths(document, each)) is not None)
    phases = {each.phase: each.joules_per_inference.mean for each in point.energy.phases} if point.energy else {}
    both = (phases["prefill"], phases["decode"]) if {"prefill", "decode"} <= phases.keys() else None
    return SplitInputs(own, others, both, _phase_seconds(point, document.points))


def _joules(energy: PointEnergy, factor: float, sensors: tuple[tuple[str, float], ...]) -> UncertainAmount:
    """Return the energy of an inference: the spread of its repeats, and what its bounds have beyond it."""
    total, repeats = energy.joules_per_inference.total, energy.repeats
    above = max(0.0, total.upper - (total.mean if repeats.upper is None else repeats.upper))
    below = max(0.0, (total.mean if repeats.lower is None else repeats.lower) - total.lower)
    deviation = repeats.standard_deviation or 0.0
    return UncertainAmount(
        mean=total.mean * factor,
        standard_error=deviation / math.sqrt(repeats.count) * factor,
        degrees=repeats.count - 1,
        below=(below if total.lower > 0 else max(below, above)) * factor,  # a bound at 0 is a cut one
        above=above * factor,
        sensors=sensors,
    )


def _rate(rate: Interval, repeats: int) -> UncertainAmount:
    if rate.upper is None or repeats < 2:  # noqa: PLR2004  one repeat has no spread
        return UncertainAmount(rate.mean)
    return UncertainAmount(rate.mean, (rate.upper - rate.mean) / t_quantile(repeats - 1), repeats - 1)


def _power(watts: float, point: Point, sensors: tuple[tuple[str, float], ...]) -> UncertainAmount:
    """Return the power of another load, with the relative bounds of its mean power."""
    mean = point.power.mean_watts if point.power else None
    factor = watts / mean.mean if mean and mean.mean else 0.0
    return _bounded(watts, *_ends(mean, factor, watts), sensors)


def _ends(mean: UncertainValue | None, factor: float, watts: float) -> tuple[float, float]:
    return (mean.lower * factor, mean.upper * factor) if mean and factor else (watts, watts)


def _bounded(mean: float, lower: float, upper: float, sensors: tuple[tuple[str, float], ...]) -> UncertainAmount:
    return UncertainAmount(mean, below=max(0.0, mean - lower), above=max(0.0, upper - mean), sensors=sensors)


def _lengths(document: Document, point: Point) -> Lengths | None:
    if point.energy is None:
        return None
    own = point_cost(point, document.baselines)
    if own.input_tokens is None or own.output_tokens is None:
        return None
    cached_rate = point.serving.cached_input_tokens_per_second if point.serving else None
    cached = (cached_rate or 0.0) / point.inferences_per_second.mean
    joules = point.energy.joules_per_inference.total.mean
    return Lengths(max(0.0, own.input_tokens - cached), own.output_tokens, joules, 1 / point.inferences_per_second.mean)


def _load(point: Point) -> dict[str, str | int | float | bool]:
    """Return the parameters of a point without the lengths of its requests."""
    return {name: value for name, value in point.parameters.items() if name not in _LENGTHS}


def _phase_seconds(point: Point, points: Iterable[Point]) -> tuple[float, float] | None:
    """Return the times of prefill and decode of a request at the lowest load, where it waits least."""
    first_tokens = [
        (each.inferences_per_second.mean, each.time_to_first_token_seconds.mean, each.mean_latency_seconds.mean)
        for each in (point, *points)
        if each.serving is not None and each.time_to_first_token_seconds is not None
    ]
    if not first_tokens:
        return None
    _, first, whole = min(first_tokens)
    return first, max(0.0, whole - first)
