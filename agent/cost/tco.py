"""The total cost of ownership over years: payments of each year, and their net present value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from agent.cost.lines import HOURS_PER_YEAR, RunningCost, energy_lines, machine_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.cost.hourly import HourlyModel
    from agent.cost.tariff import Tariff

PaymentName = Literal["purchases", "resale", RunningCost]
_NOT_PAID = {"acquisition", "interest_on_residual"}
"""The lines of an hour that purchases, resale and the discount replace."""


class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payment of a year in the tariff's currency; resale is negative."""

    name: PaymentName
    amount: float


class Year(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A year of the table, the first is 1. `present_value` is its total at the beginning of the first year."""

    year: int
    machines: int
    utilization: float
    payments: tuple[Payment, ...]
    total: float
    present_value: float


class Ownership(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The years of a machine or of a fleet, with the sums of their totals and of their present values."""

    years: tuple[Year, ...]
    total: float
    net_present_value: float


class Load(NamedTuple):
    """The machines of a year, their mean utilization, and the mean power of one in watts, weighted by its price."""

    machines: int
    utilization: float
    watts: float


def ownership(tariff: Tariff, model: HourlyModel, years: int, load_of: Callable[[int], Load]) -> Ownership:
    """Return the payments of `years`, of which `load_of(year)` gives the load.

    Machines are bought at the beginning of a year. They are sold at the end of the year in which their life ends, and
    all at the end of the last year, at a value that falls evenly to the residual one. Other payments are due at the end
    of their year. The price of energy changes each year. Raises ValueError unless there is a year, and a capital
    with a life of at least a year or a rent.
    """
    if years < 1 or (tariff.capital is None and tariff.price_per_hour is None):
        raise ValueError("a table of ownership needs at least one year, and a capital or a rent")
    if tariff.capital is not None and tariff.life_years < 1:
        raise ValueError(f"life_years = {tariff.life_years:g}: a table of years needs a life of at least a year")
    loads = [load_of(year) for year in range(1, years + 1)]
    bought = _purchases(tariff, [load.machines for load in loads])
    rate, found = tariff.discount_rate, []
    for year, load in enumerate(loads, 1):
        price_factor = (1 + (tariff.price_per_kwh_change_per_year or 0.0)) ** (year - 1)
        running = _running(tariff, model, load, price_factor)
        own = tuple(Payment(*each) for each in (*bought[year], *running))
        value = sum(each.amount / (1 + rate) ** (year - (each.name == "purchases")) for each in own)
        found.append(Year(year, load.machines, load.utilization, own, math.fsum(each.amount for each in own), value))
    return Ownership(
        tuple(found), math.fsum(each.total for each in found), math.fsum(each.present_value for each in found)
    )


def _running(tariff: Tariff, model: HourlyModel, load: Load, price_factor: float) -> list[tuple[PaymentName, float]]:
    """Return the payments of a year without purchases and resale."""
    energy = energy_lines(tariff, load.watts, model.watts(1)) or ()
    hourly = [(line.name, line.amount) for line in machine_lines(tariff) if line.name not in _NOT_PAID]
    hourly += [(line.name, line.amount * (1 if line.name == "demand_charge" else price_factor)) for line in energy]
    return [(name, amount * load.machines * HOURS_PER_YEAR) for name, amount in hourly]  # type: ignore[misc]


def _purchases(tariff: Tariff, machines: Sequence[int]) -> dict[int, list[tuple[PaymentName, float]]]:
    """Return the purchases and the resale of each year for the machines of each year."""
    found: dict[int, list[tuple[PaymentName, float]]] = {year: [] for year in range(1, len(machines) + 1)}
    if tariff.capital is None:
        return found
    batches: list[tuple[int, int]] = []  # (age in years, machines)
    life, residual = tariff.life_years, tariff.residual_share
    for year, wanted in enumerate(machines, 1):
        old = sum(count for age, count in batches if age >= life)
        batches = [(age, count) for age, count in batches if age < life]
        new = max(0, wanted - sum(count for _, count in batches))
        if new:
            found[year].append(("purchases", new * tariff.capital))
        if old and residual:
            found[year - 1].append(("resale", -old * residual * tariff.capital))
        batches = [(age + 1, count) for age, count in (*batches, (0, new))]
    value = sum(count * (1 - (1 - residual) * min(age, life) / life) for age, count in batches) * tariff.capital
    if value:
        found[len(machines)].append(("resale", -value))
    return found
