"""The cost of an hour of a machine, line by line."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.cost.tariff import Tariff

HOURS_PER_YEAR = 8760
HOURS_PER_MONTH = 730
WATTS_PER_KILOWATT = 1000

RunningCost = Literal[
    "rent",
    "maintenance",
    "licences",
    "staff",
    "facility",
    "energy",
    "cooling",
    "distribution",
    "cooling_and_distribution",
    "demand_charge",
]
LineName = Literal["acquisition", "interest_on_residual", RunningCost]


class CostLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a cost; `amount` is in the tariff's currency."""

    name: LineName
    amount: float


def capital_recovery_factor(life_years: float, rate: float) -> float:
    """Return the yearly share of a sum that writes it off over its life, at `rate` interest a year.

    r (1 + r)^L / ((1 + r)^L - 1), and its limit 1 / L at r = 0 (any textbook of engineering economics). Raises
    ValueError if the life is not above 0 or the rate is negative.
    """
    if not life_years > 0 or not rate >= 0:
        raise ValueError(f"a life of {life_years} years at rate {rate} cannot be written off")
    if rate * (life_years + 1) < sys.float_info.epsilon:  # the limit, to a double's precision
        return 1 / life_years
    return rate / -math.expm1(-life_years * math.log1p(rate))  # the same over (1 + r)^L, exact for small r


def machine_lines(tariff: Tariff) -> tuple[CostLine, ...]:
    """Return the cost of an hour of the machine without its energy; none without `capital` or `price_per_hour`.

    C (1 - s) CRF / 8760, s r C / 8760, m C / 8760, licences / 8760, staff / 8760 and facility * kW / 730; a line whose
    price is not given is left out. The residual s C is paid back at the end of the life, but its interest s r C is due
    every year until then.
    """
    if tariff.price_per_hour is not None:
        amounts: dict[LineName, float | None] = {"rent": tariff.price_per_hour}
    elif tariff.capital is not None:
        recovery = capital_recovery_factor(tariff.life_years, tariff.discount_rate)
        share = tariff.residual_share
        yearly = tariff.capital / HOURS_PER_YEAR
        amounts = {
            "acquisition": yearly * (1 - share) * recovery,
            "interest_on_residual": yearly * share * tariff.discount_rate or None,
            "maintenance": None if tariff.maintenance_share is None else yearly * tariff.maintenance_share,
        }
    else:
        return ()
    amounts["licences"] = _hourly(tariff.licences_per_year, HOURS_PER_YEAR)
    amounts["staff"] = _hourly(tariff.staff_per_year, HOURS_PER_YEAR)
    kilowatts = (tariff.provisioned_watts or 0.0) / WATTS_PER_KILOWATT
    facility = _hourly(tariff.facility_per_kw_month, HOURS_PER_MONTH)
    amounts["facility"] = None if facility is None else facility * kilowatts
    return _lines(amounts)


def energy_lines(tariff: Tariff, watts: float, highest_watts: float) -> tuple[CostLine, ...] | None:
    """Return the cost of the energy of an hour at `watts` of measured power; None without a price.

    price * watts / 1000 for the machine, times the overhead of cooling and of distribution for these, and the demand
    charge of the highest power. None of them if the facility or the rent pays for the energy.
    """
    price = tariff.energy_price
    if tariff.includes_power:
        return ()
    if price is None:
        return None
    machine = price * (tariff.wall_factor or 1.0) * watts / WATTS_PER_KILOWATT
    amounts: dict[LineName, float | None] = {"energy": machine}
    if tariff.cooling_overhead is None:
        amounts["cooling_and_distribution"] = machine * (tariff.pue - 1)
    else:
        amounts["cooling"] = machine * tariff.cooling_overhead
        amounts["distribution"] = machine * (tariff.distribution_loss or 0.0)
    amounts["demand_charge"] = demand_charge_per_hour(tariff, highest_watts) or None
    return _lines(amounts)


def demand_charge_per_hour(tariff: Tariff, highest_watts: float) -> float:
    """Return the demand charge of an hour for the highest measured power; 0 if there is none."""
    if tariff.demand_charge_per_kw_month is None or tariff.includes_power:
        return 0.0
    return tariff.demand_charge_per_kw_month * tariff.overhead * highest_watts / WATTS_PER_KILOWATT / HOURS_PER_MONTH


def total(lines: Iterable[CostLine]) -> float:
    """Return the sum of lines."""
    return math.fsum(line.amount for line in lines)


def capital_per_hour(tariff: Tariff) -> float | None:
    """Return the cost of an hour of the machine without its energy; None without `capital` or `price_per_hour`."""
    if tariff.capital is None and tariff.price_per_hour is None:
        return None
    return total(machine_lines(tariff))


def _hourly(price: float | None, hours: int) -> float | None:
    return None if price is None else price / hours


def _lines(amounts: dict[LineName, float | None]) -> tuple[CostLine, ...]:
    return tuple(CostLine(name, amount) for name, amount in amounts.items() if amount is not None)
