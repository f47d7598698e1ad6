"""The metrics of a comparison: the value of each in one run, with its interval and the bounds of its sensors; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from msgspec import structs

from agent.comparison.significance import CANCELLED, Bounds
from agent.cost.interval import Interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.cost.model import BasisCost, CostBreakdown
    from agent.profiling.records import Point, UncertainValue

Part = Literal["energy", "capital"]
_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of a metric in one run, with its interval by repeats and the relative bounds of its sensors.

    `shared` are the bounds that remain in a ratio of two values of the same sensors: the load of other programs.
    """

    value: Interval
    sensors: Bounds = CANCELLED
    shared: Bounds = CANCELLED


@dataclass(frozen=True, slots=True)
class Prices:
    """The basis of costs that all runs of a comparison have, and the parts that they sum."""

    currency: str | None
    basis: Literal["allocation", "usage"]
    parts: tuple[Part, ...]

    def total(self, amount: CostBreakdown) -> Interval | None:
        """Return the sum of the parts of an amount."""
        total: Interval | None = None
        for name in self.parts:
            part: Interval | None = getattr(amount, name)
            if part is None:
                return None
            total = part if total is None else total.plus(part)
        return total


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `words` describe a setup with less of it, and with more; `by_sensors`: power decides it."""

    name: str
    words: tuple[str, str]
    of: Callable[[Point, Prices | None], Reading | None]
    by_sensors: bool = False

    def has_energy(self, prices: Prices | None) -> bool:
        """Return whether its value contains an energy: a cost of the machine alone has none."""
        return self.by_sensors and not (self.name.startswith("cost") and prices and "energy" not in prices.parts)


def _latency(point: Point, _: Prices | None) -> Reading:
    return Reading(point.mean_latency_seconds)


def _first_token(point: Point, _: Prices | None) -> Reading | None:
    summary = point.time_to_first_token_seconds
    return None if summary is None else Reading(Interval(summary.p50))


def _rate(point: Point, _: Prices | None) -> Reading:
    return Reading(point.inferences_per_second)


def _token_rate(point: Point, _: Prices | None) -> Reading | None:
    rate = point.output_tokens_per_second
    return None if rate is None else Reading(rate)


def _joules(point: Point, _: Prices | None) -> Reading | None:
    return None if point.energy is None else _energy(point, point.energy.joules_per_inference.total)


def _joules_per_token(point: Point, _: Prices | None) -> Reading | None:
    if point.energy is None or point.energy.joules_per_output_token is None:
        return None
    return _energy(point, point.energy.joules_per_output_token)


def _energy(point: Point, value: UncertainValue) -> Reading:
    return Reading(_by_repeats(point, value.mean), sensor_bounds(point), _background(point))


def _by_repeats(point: Point, joules: float) -> Interval:
    """Return an energy with the relative interval of the point's repeats, without the bounds of the sensors."""
    repeats = point.energy and point.energy.repeats
    if not repeats or repeats.upper is None or not repeats.mean:
        return Interval(joules)
    half = (repeats.upper - repeats.mean) / repeats.mean
    return Interval(joules, max(0.0, joules * (1 - half)), joules * (1 + half))


def _background(point: Point) -> Bounds:
    """Return the bounds by other programs: their part of the energy may not belong to the point."""
    share = point.energy.background_share if point.energy else None
    return Bounds(below=min(1.0, share or 0.0))


def sensor_bounds(point: Point) -> Bounds:
    """Return the bounds of the sensors of a point's energy, as shares of its mean.

    The document has the interval of the repeats with and without them. A lower bound of 0 bounds nothing.
    """
    if point.energy is None or not point.energy.repeats.mean:
        return Bounds(1.0, None)
    total, repeats = point.energy.joules_per_inference.total, point.energy.repeats
    lower = repeats.mean if repeats.lower is None else repeats.lower
    upper = repeats.mean if repeats.upper is None else repeats.upper
    below = 1.0 if total.lower <= 0 else max(0.0, (lower - total.lower) / repeats.mean)
    return Bounds(below, max(0.0, (total.upper - upper) / repeats.mean))


def _cost_per_inference(point: Point, prices: Prices | None) -> Reading | None:
    return _cost(point, prices, lambda basis: basis.per_inference, _MILLION)


def _cost_per_token(point: Point, prices: Prices | None) -> Reading | None:
    return _cost(point, prices, lambda basis: basis.per_million_output_tokens, 1.0)


def _cost(
    point: Point, prices: Prices | None, of: Callable[[BasisCost], CostBreakdown | None], factor: float
) -> Reading | None:
    basis: BasisCost | None = getattr(point.cost, prices.basis) if prices and point.cost else None
    amount = of(basis) if basis else None
    total = prices.total(amount) if prices and amount else None
    if prices is None or amount is None or total is None:
        return None
    energy = amount.energy if "energy" in prices.parts else None
    share = 0.0 if energy is None or not total.mean else energy.mean / total.mean
    by_repeats = prices.total(structs.replace(amount, energy=energy and _by_repeats(point, energy.mean))) or total
    bounds = (_scaled(each, share) for each in (sensor_bounds(point), _background(point)))
    return Reading(by_repeats.times(factor), *bounds)


def _scaled(bounds: Bounds, share: float) -> Bounds:
    """Return the bounds of a sum by those of a part with this share."""
    return Bounds(bounds.below * share, None if bounds.above is None and share else (bounds.above or 0.0) * share)


METRICS = (
    Metric("mean_latency_seconds", ("faster", "slower"), _latency),
    Metric("median_time_to_first_token_seconds", ("faster", "slower"), _first_token),
    Metric("inferences_per_second", ("less", "more"), _rate),
    Metric("output_tokens_per_second", ("less", "more"), _token_rate),
    Metric("joules_per_inference", ("less", "more"), _joules, by_sensors=True),
    Metric("joules_per_output_token", ("less", "more"), _joules_per_token, by_sensors=True),
    Metric("cost_per_million_inferences", ("cheaper", "dearer"), _cost_per_inference, by_sensors=True),
    Metric("cost_per_million_output_tokens", ("cheaper", "dearer"), _cost_per_token, by_sensors=True),
)
"""All metrics, in the order of the report."""
