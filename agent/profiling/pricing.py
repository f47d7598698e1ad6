"""From a profile document to the inputs of its costs, and the costs of a document under a tariff; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.cost.hourly import HourlyModel
from agent.cost.interval import Interval
from agent.cost.lines import capital_per_hour, demand_charge_per_hour
from agent.cost.model import PointCost, price_point

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.cost.model import Cost
    from agent.cost.tariff import Tariff
    from agent.profiling.records import Baseline, Document, Point
    from agent.profiling.serving_records import Goodput
    from agent.workloads.point import Value

_LOAD = {"rate", "concurrency"}
"""The parameters that set the load of a server."""


class NoCostError(ValueError):
    """A document or point has no cost; the message names the missing input."""


def price_document(document: Document, tariff: Tariff | None) -> Document:
    """Return the document with the costs of its points under another tariff, without costs if that is None."""
    points = price_points(document.points, document.baselines, tariff)
    return msgspec.structs.replace(document, tariff=tariff, points=points)


def price_points(points: Iterable[Point], baselines: Sequence[Baseline], tariff: Tariff | None) -> tuple[Point, ...]:
    """Return the points with their costs; a point without energy has none."""
    every = tuple(points)
    return tuple(msgspec.structs.replace(point, cost=_cost(point, every, baselines, tariff)) for point in every)


def _cost(point: Point, points: Sequence[Point], baselines: Sequence[Baseline], tariff: Tariff | None) -> Cost | None:
    if tariff is None or point.energy is None:
        return None
    return price_point(tariff, point_cost(point, baselines, points))


def point_cost(point: Point, baselines: Iterable[Baseline], points: Iterable[Point] = ()) -> PointCost:
    """Return the quantities behind the cost of a point; where a service level was met, of the requests that met it.

    Lower loads of the same requests among the other `points` give its power between idle and busy: only loads on a
    server are loads of one machine at different utilizations, a smaller batch is another way to work. Raises
    NoCostError if the point has no energy.
    """
    if point.energy is None:
        reason = "nothing measures its power" if point.valid else "a check failed"
        raise NoCostError(f"the point {point.name or 'of this profile'} has no energy and no cost: {reason}")
    total, rate, share = point.energy.joules_per_inference.total, point.inferences_per_second, met_share(point)
    return PointCost(
        energy_joules=Interval(total.mean, total.lower, total.upper).times(1 / share),
        throughput=rate.times(share),
        idle_watts=loaded_idle_watts(baselines),
        input_tokens=_per_inference(point.input_tokens_per_second, rate, point.input_tokens_per_inference),
        output_tokens=_per_inference(point.output_tokens_per_second, rate, point.output_tokens_per_inference),
        load_watts=tuple((load, watts) for load, watts, _ in lower_loads(point, points)),
    )


def met_share(point: Point) -> float:
    """Return the share of the requests that count as work: those that met the service level if the point met it."""
    met = _level(point)
    return met.attained if met is not None and met.met else 1.0


def lower_loads(point: Point, points: Iterable[Point]) -> list[tuple[float, float, Point]]:
    """Return the utilization and the power in watts of lower loads of the same requests, rising, with their points."""
    if point.serving is None:
        return []
    found: dict[float, tuple[float, float, Point]] = {}
    capacity = point.inferences_per_second.mean * met_share(point)
    for other in points:
        if other.serving is not None and other.energy is not None and _requests(other) == _requests(point):
            rate = other.inferences_per_second.mean
            utilization = rate * met_share(other) / capacity
            if 0 < utilization < 1:
                watts = other.energy.joules_per_inference.total.mean * rate
                found.setdefault(utilization, (utilization, watts, other))
    return [found[each] for each in sorted(found)]


def _requests(point: Point) -> dict[str, Value]:
    """Return the parameters of a point that describe its requests."""
    return {name: value for name, value in point.parameters.items() if name not in _LOAD}


def loaded_idle_watts(baselines: Iterable[Baseline]) -> Interval | None:
    """Return the mean power of the loaded, idle model with bounds that span the baselines; None without any."""
    known = [each.watts for each in baselines if each.state == "loaded" and each.watts is not None]
    if not known:
        return None
    mean = sum(watts.mean for watts in known) / len(known)
    return Interval(mean, min(watts.lower for watts in known), max(watts.upper for watts in known))


def _per_inference(tokens_rate: Interval | None, rate: Interval, mean_length: float | None) -> float | None:
    """Return the tokens of the windows over their inferences, as the energy is; else the mean length of a request."""
    if tokens_rate is None or not rate.mean:
        return mean_length
    return tokens_rate.mean / rate.mean or None


def sustained_point(document: Document) -> tuple[Point, str | None]:
    """Return the point whose throughput is the capacity X* of the machine, and a note unless a run confirmed it.

    It is the confirmed point at the highest sustainable rate, else the point with the highest throughput, of those that
    met their service level if any did. Raises NoCostError if no point has energy.
    """
    priced = [point for point in document.points if point.energy is not None]
    if not priced:
        raise NoCostError(f"profile {document.id} has no point with energy, so it has no cost")
    rate = document.sustainable_rate
    confirmed = [point for point in priced if rate is not None and point.name == rate.point]
    if confirmed:
        return confirmed[0], None
    met = [point for point in priced if (level := _level(point)) and level.met]
    best = max(met or priced, key=lambda point: point_cost(point, ()).throughput.mean)
    if document.plan.mode == "production":
        return best, "the rate is that of the production traffic, not the capacity: full use is this traffic"
    return best, _capacity_note(best, judged=any(_level(point) for point in priced), met=bool(met))


def _capacity_note(best: Point, *, judged: bool, met: bool) -> str:
    """Return the limits of a capacity that no search confirmed."""
    note = "the capacity is the highest measured rate"
    if met:
        note += " that met the service level"
    elif judged:
        note += ", although no rate is known to meet the service level"
    if best.serving is not None and best.serving.arrivals == "closed":
        note += ", of clients that wait for the server, as real ones do not"
    return f"{note}: --find-max finds the highest sustainable one"


def _level(point: Point) -> Goodput | None:
    return point.serving.goodput if point.serving else None


def hourly_model(document: Document, point: Point, tariff: Tariff) -> HourlyModel:
    """Return the machine of a document at full use at a point, with inferences as units of work.

    Raises NoCostError if the tariff has no price of energy, and no capital or rent, or the document no idle power with
    the model loaded.
    """
    inputs = point_cost(point, document.baselines, document.points)
    fixed, price = capital_per_hour(tariff), tariff.energy_price
    if fixed is None or price is None:
        raise NoCostError(f"the tariff has no {'capital and no price_per_hour' if fixed is None else 'price_per_kwh'}")
    fixed += demand_charge_per_hour(tariff, inputs.busy_watts)
    return HourlyModel(fixed, price, tariff.overhead, power_curve(document, point), inputs.throughput.mean)


def power_curve(document: Document, point: Point) -> tuple[tuple[float, float], ...]:
    """Return the power in watts by utilization: idle with the model loaded, lower loads of the same kind, the point.

    Raises NoCostError if the idle power was not measured.
    """
    curve = point_cost(point, document.baselines, document.points).curve
    if curve is None:
        raise NoCostError(f"profile {document.id} has no idle power with the model loaded")
    return curve
