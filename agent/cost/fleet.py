"""The number of machines for a demand, and their price, power and racks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from agent.cost.hybrid import machines_for
from agent.cost.lines import HOURS_PER_YEAR, WATTS_PER_KILOWATT

if TYPE_CHECKING:
    from agent.cost.demand import Demand
    from agent.cost.hourly import HourlyModel
    from agent.cost.tariff import Tariff

_SECONDS_PER_HOUR = 3600
_MILLION = 1e6
_MOST_MACHINES = 1e9
_NEARLY = 1e-9
"""A part of a machine in a rack that is an error of rounding."""


class Density(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The work and the machines that fit into provisioned power; the figures of a rack are None without its power."""

    watts_per_machine: float
    machines_per_kilowatt: float
    inferences_per_second_per_kilowatt: float
    output_tokens_per_second_per_kilowatt: float | None
    machines_per_rack: int | None
    inferences_per_second_per_rack: float | None
    output_tokens_per_second_per_rack: float | None


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The machines for a demand, in inferences a second.

    `machines` contains the `spares`. `utilization` is the mean one of all machines, which share the load.
    `provisioned_kilowatts` is the power reserved for the machines, `facility_kilowatts` that with cooling and
    distribution. Money is in the tariff's currency; `capital` is None for rented machines, `racks` without the power of
    a rack.
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
    cost_per_million_inferences: float
    provisioned_kilowatts: float
    facility_kilowatts: float
    kilowatt_hours_per_year: float
    racks: int | None


def density(capacity: float, output_tokens: float | None, tariff: Tariff, peak_watts: float) -> Density:
    """Return the density of machines that do `capacity` inferences a second, of `output_tokens` each.

    `peak_watts` is the highest measured power of one machine, which is provisioned unless the tariff states another.
    Raises ValueError if a rack has too little power for one machine.
    """
    watts = tariff.provisioned_watts or peak_watts * (tariff.wall_factor or 1.0)
    in_rack = None if tariff.rack_watts is None else math.floor(tariff.rack_watts / watts + _NEARLY)
    if in_rack == 0:
        raise ValueError(f"rack_watts = {tariff.rack_watts:g} is less than the {watts:.0f} W of one machine")
    per_kilowatt = WATTS_PER_KILOWATT / watts
    tokens = None if output_tokens is None else output_tokens * capacity
    return Density(
        watts_per_machine=watts,
        machines_per_kilowatt=per_kilowatt,
        inferences_per_second_per_kilowatt=capacity * per_kilowatt,
        output_tokens_per_second_per_kilowatt=None if tokens is None else tokens * per_kilowatt,
        machines_per_rack=in_rack,
        inferences_per_second_per_rack=None if in_rack is None else capacity * in_rack,
        output_tokens_per_second_per_rack=None if in_rack is None or tokens is None else tokens * in_rack,
    )


def fleet_size(peak_rate: float, capacity: float, tariff: Tariff) -> int:
    """Return ceil(peak / (X* (1 - headroom))) + spares, with the headroom and the spares of a tariff.

    Raises ValueError if these are more than a billion machines.
    """
    if peak_rate / capacity > _MOST_MACHINES:
        raise ValueError(f"a demand of {peak_rate:.3g} a second needs more than a billion machines")
    return machines_for(peak_rate, capacity * (1 - (tariff.headroom or 0.0))) + (tariff.spares or 0)


def fleet(demand: Demand, model: HourlyModel, tariff: Tariff, room: Density) -> Fleet:
    """Return the machines for a demand, which they share equally.

    The peak factor of the tariff is that of a demand that is a number; a curve has its own peak. Raises ValueError as
    `fleet_size` does.
    """
    peak = demand.peak * ((tariff.peak_factor or 1.0) if len(demand.steps) == 1 else 1.0)
    count = fleet_size(peak, model.capacity, tariff)
    levels = [(min(1.0, rate / (count * model.capacity)), share) for rate, share in demand.levels]
    paid = [(min(1.0, rate / (count * model.capacity)), share) for rate, share in demand.paid_levels]
    energy = math.fsum(share * model.energy_per_hour(load) for load, share in paid)
    yearly = count * HOURS_PER_YEAR * (model.fixed_per_hour + energy)
    watts = math.fsum(share * model.watts(load) for load, share in levels)
    kilowatts = count * room.watts_per_machine / WATTS_PER_KILOWATT
    return Fleet(
        mean_rate=demand.mean,
        peak_rate=peak,
        capacity=model.capacity,
        headroom=tariff.headroom or 0.0,
        spares=tariff.spares or 0,
        machines=count,
        utilization=demand.mean / (count * model.capacity),
        capital=None if tariff.capital is None else count * tariff.capital,
        cost_per_year=yearly,
        cost_per_million_inferences=yearly / (demand.mean * HOURS_PER_YEAR * _SECONDS_PER_HOUR) * _MILLION,
        provisioned_kilowatts=kilowatts,
        facility_kilowatts=kilowatts * tariff.facility_overhead,
        kilowatt_hours_per_year=count * HOURS_PER_YEAR * watts * tariff.overhead / WATTS_PER_KILOWATT,
        racks=None if room.machines_per_rack is None else math.ceil(count / room.machines_per_rack),
    )
