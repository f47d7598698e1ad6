"""The setup of the least cost by demand, each with as many of its machines as the demand needs; pure."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from agent.comparison.machines import JOULES, estimates_of_several_machines, machines
from agent.comparison.records import CheapestByLoad, LoadRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.comparison.setups import Setup
    from agent.cost.hourly import HourlyModel

_NARROWEST = 1e-9
"""The width of a range, as a share of all demands, below which it is a rounding error."""
_MOST_MACHINES = 100
"""The most machines of one setup that a demand needs, so that a small machine beside a large one ends the search."""


def cheapest_by_load(setups: Sequence[Setup], *, force: bool = False) -> tuple[CheapestByLoad | None, tuple[str, ...]]:
    """Return the ranges of demand in which each setup costs least: in money, or in joules if no prices are given.

    The second value are the reasons of the setups that are left out. None for fewer than two machines, or estimated
    powers of several hosts without `force`.
    """
    in_joules = not all(document.tariff for setup in setups for document in setup.documents)
    found, reasons = machines(setups, in_joules=in_joules)
    if len(found) < 2:  # noqa: PLR2004  one machine is always the cheapest
        return None, reasons
    if len({each.currency for each in found}) > 1 and not in_joules:
        return None, (*reasons, "no cheapest setup by load: the currencies differ")
    if estimates_of_several_machines(found) and not force:
        return None, (*reasons, "no cheapest setup by load: the energy is estimated and the machines differ")
    models = {each.label: each.model for each in found}
    notes = tuple(f"{each.label}: {note}" for each in found for note in each.notes)
    capacities = {label: model.capacity for label, model in models.items()}
    unit = JOULES if in_joules else found[0].currency or "price units"
    return CheapestByLoad(unit, capacities, ranges(models), notes), reasons


def ranges(models: Mapping[str, HourlyModel]) -> tuple[LoadRange, ...]:
    """Return the cheapest machine for each demand from 0 to the capacity of the largest one.

    A demand above the capacity of one machine is shared evenly by as few as can serve it. Costs are linear between the
    demands at which a machine is added or a curve bends, so the limits of the ranges are exact.
    """
    end = min(max(model.capacity for model in models.values()), _most(models))
    found: list[LoadRange] = []
    crossings = _crossings(models, sorted({0.0, end, *_bends(models, end)}))
    limits = [low for low, high in pairwise(crossings) if high - low > _NARROWEST * end]
    for low, high in pairwise([0.0, *limits[1:], end]):
        middle = (low + high) / 2
        cheapest = min(models, key=lambda label: fleet_cost(models[label], middle))
        same = bool(found) and found[-1].cheapest == cheapest
        found.append(LoadRange(found.pop().lower if same else low, high, cheapest))
    return tuple(found)


def fleet_cost(model: HourlyModel, demand: float) -> float:
    """Return the cost of an hour of the fewest machines that serve a demand above 0, which share it evenly."""
    count = machines_for(demand, model.capacity)
    return count * model.per_hour(min(1.0, demand / (count * model.capacity)))


def machines_for(demand: float, capacity: float) -> int:
    """Return the fewest machines that serve a demand; a rounding error adds none."""
    return max(1, math.ceil(demand / capacity * (1 - 1e-12)))


def _most(models: Mapping[str, HourlyModel]) -> float:
    return min(model.capacity for model in models.values()) * _MOST_MACHINES


def _bends(models: Mapping[str, HourlyModel], end: float) -> list[float]:
    """Return the demands up to `end` at which a cost is not linear: another machine, or a bend of a curve."""
    return [
        demand
        for model in models.values()
        for count in range(1, machines_for(end, model.capacity) + 1)
        for load, _ in model.curve
        if 0 < (demand := load * count * model.capacity) < end
    ]


def _crossings(models: Mapping[str, HourlyModel], demands: Sequence[float]) -> list[float]:
    """Return the demands with those between them at which two costs are equal."""
    found = set(demands)
    for low, high in pairwise(demands):
        inner = [low + (high - low) * share for share in (0.25, 0.75)]
        for one, other in combinations(models.values(), 2):
            first, second = (fleet_cost(one, each) - fleet_cost(other, each) for each in inner)
            if first != second:
                crossing = inner[0] - first * (inner[1] - inner[0]) / (second - first)
                if low < crossing < high:
                    found.add(crossing)
    return sorted(found)
