"""The answer of `inferometer cost` for a profile: its cost, ranges, token prices, fleet, years and sensitivities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.cost.fleet import Density, Fleet, density, fleet, fleet_size
from agent.cost.model import Cost, price_point
from agent.cost.sensitivity import Influence, influences, worst_case
from agent.cost.tariff import DEFAULTS
from agent.cost.tariff_file import KEYS
from agent.cost.tco import Load, Ownership, ownership
from agent.cost.token_split import Refusal, split_tokens
from agent.energy.counted_sensors import Boundary
from agent.profiling.cost_inputs import machine_inputs, split_inputs
from agent.profiling.pricing import NoCostError, hourly_model, point_cost, sustained_point

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.cost.demand import Demand
    from agent.cost.hourly import HourlyModel
    from agent.cost.interval import Interval
    from agent.cost.model import CostBreakdown, PointCost
    from agent.cost.tariff import Tariff
    from agent.profiling.records import Document, Point

Basis = Literal["usage", "allocation"]
BASES: tuple[Basis, ...] = ("usage", "allocation")
_MILLION = 1e6
_FLEET_DEFAULTS = {"peak_factor": 1.0, "headroom": 0.0, "spares": 0.0}


class Spread(msgspec.Struct, frozen=True):
    """An amount with its 95 % interval from draws and its worst case; an end is None if it is unbounded."""

    mean: float
    lower: float | None
    upper: float | None
    worst_lower: float | None
    worst_upper: float | None


class TokenPrices(msgspec.Struct, frozen=True):
    """The prices of a million input tokens that were not cached, and of a million output tokens, by basis."""

    method: str
    input_share: float
    usage: tuple[float, float]
    allocation: tuple[float, float] | None
    refused: tuple[Refusal, ...]


class UsedValue(msgspec.Struct, frozen=True):
    """A value behind the result with its origin; `source` describes it further."""

    name: str
    value: float | str | bool
    origin: str
    source: str = ""


class CostAnswer(msgspec.Struct, frozen=True):
    """The cost of a profile at its capacity X* under a tariff, in `currency` (None: the unit of the prices).

    `unit` is the amount of work that `totals` are for: the price of a million of them by basis. `cost_of_idle` is the
    difference of both bases. A part that cannot be computed is None, and `notes` has the reason.
    """

    profile: str
    host: str
    workload: str
    point: str
    site: str | None
    currency: str | None
    unit: Literal["output tokens", "inferences"]
    boundary: str
    energy_source: str
    inferences_per_second: float
    output_tokens_per_second: float | None
    curve: tuple[tuple[float, float], ...]
    cost: Cost
    totals: dict[Basis, Spread]
    cost_of_idle: float | None
    token_prices: TokenPrices | None
    density: Density
    fleet: Fleet | None
    ownership: Ownership | None
    sensitivity: tuple[Influence, ...]
    values: tuple[UsedValue, ...]
    notes: tuple[str, ...]


def cost_answer(
    document: Document, tariff: Tariff, demand: Demand | None = None, years: int | None = None, count: int | None = None
) -> CostAnswer:
    """Return the cost of a profile under a tariff, for a demand and over some years if these are given.

    `count` is the number of draws, by default 100,000. Raises NoCostError if the profile has no point with energy, and
    ValueError if the demand or the years are not possible under the tariff. Needs NumPy.
    """
    point, capacity_note = sustained_point(document)
    inputs = point_cost(point, document.baselines, document.points)
    cost = price_point(tariff, inputs)
    notes = [capacity_note] if capacity_note else []
    totals = _totals(document, point, tariff, inputs, cost, count)
    used = [*_tariff_values(tariff), *_measured_values(inputs, str(document.coverage.source))]
    room = density(inputs.throughput.mean, inputs.output_tokens, tariff, _peak_watts(point, inputs))
    machines = years_of = None
    try:
        model = hourly_model(document, point, tariff)
    except NoCostError as error:
        notes += [f"no fleet and no table of years: {error}"] if demand or years else []
    else:
        if demand is not None:
            machines = fleet(demand, model, tariff, room)
            used += _fleet_values(tariff)
        if years is not None:
            years_of = ownership(tariff, model, years, _load_of(tariff, demand, machines, model, notes))
    return CostAnswer(
        profile=document.id,
        host=document.host.name,
        workload=_workload(document),
        point=point.name,
        site=tariff.site,
        currency=tariff.currency,
        unit="output tokens" if inputs.output_tokens else "inferences",
        boundary=document.coverage.boundary.value,
        energy_source=str(document.coverage.source),
        inferences_per_second=inputs.throughput.mean,
        output_tokens_per_second=inputs.output_tokens and inputs.output_tokens * inputs.throughput.mean,
        curve=inputs.curve or ((1.0, inputs.busy_watts),),
        cost=cost,
        totals=totals,
        cost_of_idle=_difference(totals),
        token_prices=_token_prices(document, point, cost),
        density=room,
        fleet=machines,
        ownership=years_of,
        sensitivity=influences(tariff, inputs, _amount("allocation" if cost.allocation else "usage")),
        values=tuple(used),
        notes=(*notes, *_boundary_notes(document, tariff), *_missing_notes(cost)),
    )


def _workload(document: Document) -> str:
    model = document.workload.settings.get("model")
    return f"{document.workload.name} {model}" if isinstance(model, str) and model else document.workload.name


def _amount(basis: Basis) -> Callable[[Cost], Interval | None]:
    """Return the function from a cost to the price of a million units of work."""

    def amount(cost: Cost) -> Interval | None:
        prices = cost.usage if basis == "usage" else cost.allocation
        if prices is None:
            return None
        parts: CostBreakdown | None = prices.per_million_output_tokens
        if parts is None:
            total = prices.per_inference.total
            return total and total.times(_MILLION)
        return parts.total

    return amount


def _totals(
    document: Document, point: Point, tariff: Tariff, inputs: PointCost, cost: Cost, count: int | None
) -> dict[Basis, Spread]:
    """Return the price of a million units of work by basis, with both of its ranges."""
    from agent.cost.draws import COUNT, Draws, bounds  # noqa: PLC0415  NumPy is slow to import

    found: dict[Basis, Spread] = {}
    if cost.usage.no_total_reason:
        return found
    draws = Draws(count or COUNT)
    machine = draws.machine(tariff, machine_inputs(document, point))
    for basis in BASES:
        worst = worst_case(tariff, inputs, _amount(basis))
        if worst is not None:
            utilization = 1.0 if basis == "usage" else draws.value(tariff, "utilization")
            units = machine.per_unit(utilization) * _MILLION / (inputs.output_tokens or 1.0)
            found[basis] = Spread(worst.mean, *bounds(units), worst.lower, worst.upper)
    return found


def _difference(totals: dict[Basis, Spread]) -> float | None:
    if "usage" not in totals or "allocation" not in totals:
        return None
    return totals["allocation"].mean - totals["usage"].mean


def _token_prices(document: Document, point: Point, cost: Cost) -> TokenPrices | None:
    inputs = split_inputs(document, point)
    split = inputs and split_tokens(inputs)
    usage = cost.usage.per_inference.total
    if inputs is None or not split or usage is None:
        return None
    allocation = cost.allocation.per_inference.total if cost.allocation else None

    def prices(total: Interval) -> tuple[float, float]:
        share = split.input_share
        per_input, per_output = share / inputs.own.input_tokens, (1 - share) / inputs.own.output_tokens
        return _MILLION * total.mean * per_input, _MILLION * total.mean * per_output

    return TokenPrices(
        split.method, split.input_share, prices(usage), prices(allocation) if allocation else None, split.refused
    )


def _peak_watts(point: Point, inputs: PointCost) -> float:
    return max(inputs.busy_watts, (point.power.peak_watts if point.power else None) or 0.0)


def _load_of(
    tariff: Tariff, demand: Demand | None, machines: Fleet | None, model: HourlyModel, notes: list[str]
) -> Callable[[int], Load]:
    """Return the load of a year: that of a fleet, which grows with its demand, or of one machine."""
    growth = 1 + (tariff.demand_growth_per_year or 0.0)
    if demand is None or machines is None:
        if tariff.utilization is None:
            notes.append("the table of years assumes full use: the tariff has no utilization, and there is no --demand")

        def one(year: int) -> Load:
            utilization = min(1.0, (tariff.utilization or 1.0) * growth ** (year - 1))
            return Load(1, utilization, model.watts(utilization))

        return one

    def load(year: int) -> Load:
        factor = growth ** (year - 1)
        count = fleet_size(machines.peak_rate * factor, model.capacity, tariff)
        used = [(min(1.0, rate * factor / (count * model.capacity)), share) for rate, share in demand.paid_levels]
        watts = math.fsum(share * model.watts(each) for each, share in used)
        return Load(count, min(1.0, machines.mean_rate * factor / (count * model.capacity)), watts)

    return load


def _tariff_values(tariff: Tariff) -> list[UsedValue]:
    sources = {default.name: default.source for default in DEFAULTS}
    found = []
    for name in KEYS:
        origin = tariff.origin(name)
        if origin is None or (name == "pue" and tariff.cooling_overhead is not None):
            continue
        found.append(UsedValue(name, getattr(tariff, name), origin, sources[name] if origin == "default" else ""))
    return found


def _fleet_values(tariff: Tariff) -> list[UsedValue]:
    return [
        UsedValue(name, value, "assumed", "not given")
        for name, value in _FLEET_DEFAULTS.items()
        if getattr(tariff, name) is None
    ]


def _measured_values(inputs: PointCost, source: str) -> list[UsedValue]:
    found = [
        UsedValue("energy_joules", inputs.energy_joules.mean, source, "per inference"),
        UsedValue("throughput", inputs.throughput.mean, "measured", "inferences per second"),
    ]
    if inputs.idle_watts is not None:
        found.append(UsedValue("idle_watts", inputs.idle_watts.mean, source, "model loaded, no requests"))
    return found


def _boundary_notes(document: Document, tariff: Tariff) -> list[str]:
    boundary = document.coverage.boundary
    if boundary == Boundary.WALL or tariff.wall_factor is not None or tariff.includes_power:
        return []
    note = f"the energy is that of the boundary {boundary.value}, below the plug: its cost and carbon are lower bounds"
    return [f"{note}, which wall_factor in the tariff corrects"]


def _missing_notes(cost: Cost) -> list[str]:
    return [f"{each.name} is not given: {each.effect}" for each in cost.missing]
