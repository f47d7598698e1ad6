"""The cheapest split of a demand between owned machines and a rental: the base load owned, the peaks rented."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cost.demand import DemandError
from agent.cost.rented import HOURS_PER_YEAR, whole

if TYPE_CHECKING:
    from agent.cost.demand import Demand
    from agent.cost.hourly import HourlyModel
    from agent.cost.rented import RentedWork, RentedYear

_MOST_EVALUATIONS = 2_000_000
"""Numbers of machines times levels of demand, which take a few seconds."""


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


def machines_for(rate: float, model: HourlyModel, headroom: float) -> int:
    """Return the least number of machines whose capacity, without the headroom, is at least a rate."""
    return whole(rate / (model.capacity * (1 - headroom)))


def owned_year(model: HourlyModel, demand: Demand, machines: int, headroom: float) -> OwnedYear:
    """Return the year of owned machines, which share the demand equally up to their capacity without the headroom."""
    if not machines:
        return OwnedYear(0, 0.0, 0.0)
    most = 1 - headroom
    energy = math.fsum(
        share * model.energy_per_hour(min(most, rate / (machines * model.capacity))) for rate, share in demand.levels
    )
    hours = machines * HOURS_PER_YEAR
    return OwnedYear(machines, hours * model.fixed_per_hour, hours * energy)


def owned_alone(model: HourlyModel, demand: Demand, headroom: float) -> Split:
    """Return the year in which owned machines do all work."""
    return Split(owned_year(model, demand, machines_for(demand.peak, model, headroom), headroom), None)


def best_split(model: HourlyModel, demand: Demand, work: RentedWork, headroom: float, least: int = 0) -> Split:
    """Return the split with the lowest cost, over all numbers of owned machines from `least` on.

    Owned machines do the work up to their capacity, and the rest is rented. Of equal costs, the one with fewer machines
    is returned. Raises DemandError if the demand needs more machines than can be compared.
    """
    most = max(least, machines_for(demand.peak, model, headroom))
    if most * len(demand.levels) > _MOST_EVALUATIONS:
        raise DemandError(
            f"the peak of the demand needs {most:,} machines, which are too many to compare: divide the demand by ten, "
            "and multiply the result"
        )
    usable = model.capacity * (1 - headroom)
    splits = (
        Split(owned_year(model, demand, machines, headroom), work.above(machines * usable))
        for machines in range(least, most + 1)
    )
    return min(splits, key=lambda split: (split.cost, split.owned.machines))
