"""The share of the draws of uncertain inputs in which own machines are cheaper than an offer; needs NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agent.cost.hybrid import machines_for
from agent.cost.lines import HOURS_PER_YEAR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.cost.demand import Demand
    from agent.cost.draws import HourlyDraws
    from agent.cost.hybrid import Machine

_MOST_LEVELS = 32
"""The levels of a demand that are evaluated; more are merged into neighbors, which changes the energy by little."""
_LEAST = float(np.finfo(float).tiny)


def owned_cost(machine: Machine, drawn: HourlyDraws, demand: Demand) -> Any:
    """Return the draws of the cost of a year in which own machines do all work, as many as the mean capacity needs."""
    machines = machines_for(demand.peak, machine.usable) + machine.spares
    hour: Any = drawn.fixed_per_hour
    for rate, share in _merged(demand.paid_levels):
        possible = np.maximum(machines * drawn.capacity, max(rate, _LEAST))  # at utilization 1 in a draw of too little
        hour = hour + share * (drawn.per_hour(rate / possible) - drawn.fixed_per_hour)
    return machines * HOURS_PER_YEAR * hour


def owning_wins(owned: Any, rented: Mapping[str, float]) -> dict[str, float]:
    """Return the share of the draws in which owning costs less than the rent of each offer."""
    return {name: float(np.mean(owned < cost)) for name, cost in rented.items()}


def _merged(levels: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield rates with their shares of the time, each the mean of neighboring levels."""
    size = -(-len(levels) // _MOST_LEVELS)
    for start in range(0, len(levels), size):
        group = levels[start : start + size]
        if share := sum(each for _, each in group):  # 0 while energy is free
            yield sum(rate * each for rate, each in group) / share, share
