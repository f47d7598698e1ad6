"""The machine behind a setup: its cost or energy by load, at the rate that meets a service level; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.cost.hourly import HourlyModel
from agent.energy.provenance import Provenance
from agent.profiling.pricing import NoCostError, hourly_model, point_cost, power_curve, sustained_point

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.comparison.setups import Setup
    from agent.profiling.records import Document, Point
    from agent.profiling.serving_records import ServiceLevel

JOULES = "J"
_LIMITS = ("ttft_seconds", "tpot_seconds", "e2e_seconds")
_WATTS_PER_KILOWATT = 1000
_JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a setup at full use: `capacity` of its model is in inferences per second.

    The model costs an hour in the currency of the tariff, or in joules without prices. `notes` are the origin of the
    capacity; `lengths` the mean tokens of a prompt and of an output there; `estimated` states whether its power is an
    estimate.
    """

    label: str
    name: str
    host: str
    model: HourlyModel
    estimated: bool
    currency: str | None
    lengths: tuple[float | None, float | None] = (None, None)
    notes: tuple[str, ...] = ()


def machine(setup: Setup, level: ServiceLevel | None = None, *, in_joules: bool = False) -> Machine:
    """Return the machine of a setup, by its profile of the median capacity (of two, the lower one).

    With a service level, its capacity is the highest measured open-loop rate that meets it. Raises NoCostError with the
    reason if no profile has a capacity, idle power and, unless `in_joules`, prices.
    """
    found, reasons = [], []
    for document in setup.documents:
        try:
            found.append(_machine(setup, document, level, in_joules=in_joules))
        except NoCostError as error:
            reasons.append(error)
    if not found:
        raise reasons[-1]
    return sorted(found, key=lambda each: each.model.capacity)[(len(found) - 1) // 2]


def _machine(setup: Setup, document: Document, level: ServiceLevel | None, *, in_joules: bool) -> Machine:
    point, notes = _capacity(document, level)
    if in_joules:
        inputs = point_cost(point, document.baselines)
        price = _JOULES_PER_KWH  # of a kilowatt-hour in joules, so that an hour costs its energy
        model = HourlyModel(0.0, price, 1.0, power_curve(document, point), inputs.throughput.mean)
    elif document.tariff is None:
        raise NoCostError("no prices are given: --tariff FILE.toml gives them")
    else:
        model = hourly_model(document, point, document.tariff)
    headroom = (document.tariff and document.tariff.headroom) or 0.0
    if headroom:
        model = limited(model, 1 - headroom)
        notes += (f"the capacity leaves the headroom of the tariff free, {headroom:.3g} of the machine",)
    tariff = document.tariff
    if tariff and ((tariff.peak_factor or 1.0) > 1 or tariff.spares):
        notes += ("the peak_factor and the spares of the tariff do not count: the demand is that of the peak",)
    currency = None if document.tariff is None else document.tariff.currency
    estimated = document.coverage.source is not Provenance.MEASURED
    lengths = (point.input_tokens_per_inference, point.output_tokens_per_inference)
    return Machine(setup.label, setup.name, document.host.id, model, estimated, currency, lengths, notes)


def limited(model: HourlyModel, share: float) -> HourlyModel:
    """Return a machine of which only this share of the capacity is used, as one with that capacity."""
    curve = [(load / share, watts) for load, watts in model.curve if load < share]
    curve.append((1.0, model.watts(share)))
    return replace(model, curve=tuple(curve), capacity=model.capacity * share)


def machines(
    setups: Sequence[Setup], level: ServiceLevel | None = None, *, in_joules: bool = False
) -> tuple[tuple[Machine, ...], tuple[str, ...]]:
    """Return the machines of the setups that have one, and the reasons of the others."""
    found, reasons = [], []
    for setup in setups:
        try:
            found.append(machine(setup, level, in_joules=in_joules))
        except NoCostError as error:
            reasons.append(f"{setup.label} is left out: {error}")
    return tuple(found), tuple(reasons)


def estimates_of_several_machines(found: Iterable[Machine]) -> bool:
    """Return whether estimated powers of several hosts are among these machines, which are not comparable."""
    own = list(found)
    return len({each.host for each in own}) > 1 and any(each.estimated for each in own)


def _capacity(document: Document, level: ServiceLevel | None) -> tuple[Point, tuple[str, ...]]:
    if level is None:
        point, note = sustained_point(document)
        return point, () if note is None else (note,)
    met = [point for point in document.points if point.energy and _meets(point, level)]
    if not met:
        raise NoCostError(
            f"profile {document.id} has no open-loop point that met this service level or a stricter one; measure it "
            "with `inferometer profile endpoint --slo ... --find-max`"
        )
    best = max(met, key=lambda point: point_cost(point, ()).throughput.mean)
    rate = document.sustainable_rate
    confirmed = rate is not None and rate.point == best.name
    return best, () if confirmed else ("the capacity is the highest measured rate that met the service level",)


def _meets(point: Point, level: ServiceLevel) -> bool:
    """Return whether a point met a service level at least as strict as this one."""
    goodput = point.serving.goodput if point.serving else None
    if goodput is None or not goodput.met or goodput.level.attainment < level.attainment:
        return False
    limits = ((getattr(goodput.level, name), getattr(level, name)) for name in _LIMITS)
    return all(wanted is None or (measured is not None and measured <= wanted) for measured, wanted in limits)
