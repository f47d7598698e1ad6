"""The number of machines for a demand, and their price, power and racks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from agent.cost.hybrid import machines_for
from agent.cost.lines import HOURS_PER_YEAR, WATTS_PER_KILOWATT

if TYPE_CHECKING:
    from agent.cost.hourly import HourlyModel
    from agent.cost.tariff import Tariff

_NEARLY = 1e-9
"""A part of a machine in a rack that is an error of rounding."""


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machines for a demand, in units of work a second.

    `machines` contains the `spares`. `utilization` is the mean one of all machines, which share the load.
    `provisioned_kilowatts` is the power reserved for the machines, `facility_kilowatts` that with cooling and
    distribution. Money is in the tariff's currency; `capital` is None for rented machines, and what needs the power of
    a rack is None without it.
    """

    mean_rate: float
    peak_rate: float
    capacity: float
    headroom: float
    spares: int
    machines: int
    utilization: float
    capital: float | None
    cost_per_year: float
    cost_per_million_units: float
    watts_per_machine: float
    provisioned_kilowatts: float
    facility_kilowatts: float
    kilowatt_hours_per_year: float
    units_per_second_per_kilowatt: float
    machines_per_kilowatt: float
    machines_per_rack: int | None
    racks: int | None


def fleet_size(peak_rate: float, capacity: float, tariff: Tariff) -> int:
    """Return ceil(peak / (X* (1 - headroom))) + spares, with the headroom and the spares of a tariff."""
    return machines_for(peak_rate, capacity * (1 - (tariff.headroom or 0.0))) + (tariff.spares or 0)


def fleet(mean_rate: float, peak_rate: float, model: HourlyModel, tariff: Tariff, peak_watts: float) -> Fleet:
    """Return the machines for a demand, which they share equally.

    `peak_watts` is the highest measured power of one machine, which is provisioned unless the tariff states another.
    Raises ValueError unless 0 < mean <= peak, and if a rack has too little power for one machine.
    """
    if not 0 < mean_rate <= peak_rate < math.inf:
        raise ValueError(f"a demand of {mean_rate} on average and {peak_rate} at its peak is not possible")
    headroom, spares = tariff.headroom or 0.0, tariff.spares or 0
    count = fleet_size(peak_rate, model.capacity, tariff)
    utilization = min(1.0, mean_rate / (count * model.capacity))
    watts = tariff.provisioned_watts or peak_watts * (tariff.wall_factor or 1.0)
    kilowatts = count * watts / WATTS_PER_KILOWATT
    yearly = count * HOURS_PER_YEAR * model.per_hour(utilization)
    in_rack = None if tariff.rack_watts is None else math.floor(tariff.rack_watts / watts + _NEARLY)
    if in_rack == 0:
        raise ValueError(f"rack_watts = {tariff.rack_watts:g} is less than the {watts:.0f} W of one machine")
    return Fleet(
        mean_rate=mean_rate,
        peak_rate=peak_rate,
        capacity=model.capacity,
        headroom=headroom,
        spares=spares,
        machines=count,
        utilization=utilization,
        capital=None if tariff.capital is None else count * tariff.capital,
        cost_per_year=yearly,
        cost_per_million_units=yearly / (mean_rate * HOURS_PER_YEAR * 3600) * 1e6,
        watts_per_machine=watts,
        provisioned_kilowatts=kilowatts,
        facility_kilowatts=kilowatts * tariff.facility_overhead,
        kilowatt_hours_per_year=count * HOURS_PER_YEAR * model.watts(utilization) * tariff.overhead / 1000,
        units_per_second_per_kilowatt=count * model.capacity / kilowatts,
        machines_per_kilowatt=WATTS_PER_KILOWATT / watts,
        machines_per_rack=in_rack,
        racks=None if in_rack is None else math.ceil(count / in_rack),
    )
