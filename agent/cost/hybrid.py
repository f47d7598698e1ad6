"""The cheapest split of a demand between owned machines and a rental: the base load owned, the peaks rented."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cost.demand import DemandError
from agent.cost.lines import HOURS_PER_YEAR
from agent.cost.rented import whole

if TYPE_CHECKING:
    from agent.cost.demand import Demand
    from agent.cost.hourly import HourlyModel
    from agent.cost.rented import RentedWork, RentedYear

_MOST_EVALUATIONS = 200_000
"""Numbers of machines times levels of demand, which take about a second."""


@dataclass(frozen=True, slots=True)
class Machine:
    """An own machine: its cost at a load in requests, its acquisition cost and the yearly part that recovers it.

    `headroom` is the share of its capacity that stays free at the peak, `spares` the machines beyond the needed ones,
    `peak_factor` the highest rate over the one of a step, for which machines and instances are sized.
    """

    model: HourlyModel
    capital: float
    recovery_per_year: float
    life_years: float
    headroom: float = 0.0
    spares: int = 0
    peak_factor: float = 1.0

    @property
    def usable(self) -> float:
        """The requests per second of a step that a machine can do."""
        return self.model.capacity * (1 - self.headroom) / self.peak_factor


@dataclass(frozen=True, slots=True)
class OwnedYear:
    """The owned part of a year: the number of machines, the cost without energy and that of energy."""

    machines: int
    fixed: float
    energy: float

    @property
    def cost(self) -> float:
        """The sum of both."""
        return self.fixed + self.energy


@dataclass(frozen=True, slots=True)
class Split:
    """A year of owned machines and rented work; `rented` is None if nothing can be rented."""

    owned: OwnedYear
    rented: RentedYear | None

    @property
    def cost(self) -> float:
        """The cost of the year."""
        return self.owned.cost + (self.rented.cost if self.rented else 0.0)


def machines_for(rate: float, usable: float) -> int:
    """Return the least number of machines, each with a `usable` rate, that can do a rate together; 0 for no rate."""
    return max(1, whole(rate / usable)) if rate > 0 else 0


def owned_year(machine: Machine, demand: Demand, needed: int) -> OwnedYear:
    """Return the year of the needed machines and the spares, which share the demand equally; none if none is needed."""
    if not needed:
        return OwnedYear(0, 0.0, 0.0)
    machines, most, model = needed + machine.spares, needed * machine.usable, machine.model
    energy = math.fsum(
        share * model.energy_per_hour(min(most, rate) / (machines * model.capacity))
        for rate, share in demand.paid_levels
    )
    hours = machines * HOURS_PER_YEAR
    return OwnedYear(machines, hours * model.fixed_per_hour, hours * energy)


def owned_alone(machine: Machine, demand: Demand) -> Split:
    """Return the year in which owned machines do all work."""
    return Split(owned_year(machine, demand, machines_for(demand.peak, machine.usable)), None)


def best_split(machine: Machine, demand: Demand, work: RentedWork, least: int = 0) -> Split:
    """Return the split with the lowest cost, over all numbers of needed machines from `least` on.

    Owned machines do the work up to their capacity, and the rest is rented. If two splits cost the same, the one with
    fewer machines is returned. Raises DemandError if the demand needs more machines than can be compared.
    """
    most = max(least, machines_for(demand.peak, machine.usable))
    if most * len(demand.levels) > _MOST_EVALUATIONS:
        raise DemandError(
            f"the peak of the demand needs {most:,} machines, which are too many to compare: give a part of the "
            "demand, and multiply the result"
        )
    splits = (
        Split(owned_year(machine, demand, needed), work.above(needed * machine.usable))
        for needed in range(least, most + 1)
    )
    return min(splits, key=lambda split: (split.cost, split.owned.machines))
