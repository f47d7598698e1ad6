"""The cheapest mix of machines for a demand, by an integer program (SciPy's HiGHS); pure."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from agent.comparison.cheapest import fleet_cost
from agent.comparison.machines import estimates_of_several_machines, machines
from agent.comparison.matching import IncomparableError, different_lengths, reasons_against

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.comparison.machines import Machine
    from agent.comparison.setups import Setup
    from agent.profiling.serving_records import ServiceLevel

_GAP = 1e-9
"""The largest relative distance of the found cost from the optimum."""
_SECONDS = 60.0
"""The time limit of the solver; 20 machines take hundredths of a second."""


class MixError(ValueError):
    """There is no mix; the message has the reason."""


class MixPart(msgspec.Struct, frozen=True):
    """`count` machines of one setup that together serve `load`, in inferences per second."""

    setup: str
    name: str
    count: int
    load: float
    utilization: float
    cost_per_hour: float


class Mix(msgspec.Struct, frozen=True):
    """The cheapest machines for a demand, in inferences per second.

    `currency` is None if the prices have none. `single` is the cost of an hour with the fewest machines of one setup
    alone, by setup. `left_out` are setups without the figures that a mix needs, `notes` the origins of the capacities,
    `incomparable` the reasons that --force overrode.
    """

    demand: float
    currency: str | None
    cost_per_hour: float
    cost_per_million_inferences: float
    parts: tuple[MixPart, ...]
    single: dict[str, float]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    incomparable: tuple[str, ...] = ()


def cheapest_mix(found: Sequence[Machine], demand: float) -> Mix:
    """Return the mix of whole machines that serves `demand` inferences per second at the least cost of an hour.

    A machine of the mix is powered all hour. Its power is linear between the utilizations of its curve, so machines in
    the same segment of a curve cost the same however they share their load: for each segment s of each machine, n_s
    machines (an integer) carry the load x_s with u_s n_s <= x_s / capacity <= u_s+1 n_s, and the cost is linear in n
    and x. The optimum is thus exact for every piecewise linear curve. Raises MixError if the demand is not above 0, no
    machine is given, currencies differ, or the solver ends without an optimum.
    """
    if not found:
        raise MixError("no machine has the figures that a mix needs")
    if not 0 < demand < math.inf:
        raise MixError(f"{demand:g} inferences per second is not a demand; give a number above 0")
    if len({each.currency for each in found}) > 1:
        raise MixError("the prices are in several currencies, which are not converted; give tariffs in one currency")
    counts, loads, costs = _solved(found, demand)
    parts = tuple(
        MixPart(each.label, each.name, count, load, load / (count * each.model.capacity), cost)
        for each, count, load, cost in zip(found, counts, loads, costs, strict=True)
        if count
    )
    total = sum(part.cost_per_hour for part in parts)
    single = {each.label: fleet_cost(each.model, demand) for each in found}
    notes = tuple(f"{each.label}: {note}" for each in found for note in each.notes)
    return Mix(demand, found[0].currency, total, total / (3600 * demand) * 1e6, parts, single, notes=notes)


def mix_of(setups: Sequence[Setup], demand: float, level: ServiceLevel | None = None, *, force: bool = False) -> Mix:
    """Return the cheapest mix of the machines of setups.

    Raises MixError as `cheapest_mix` does, and IncomparableError for machines that are not comparable without `force`.
    """
    found, left_out = machines(setups, level)
    if not found:
        raise MixError("; ".join(left_out))
    labels = {each.label for each in found}
    reasons = reasons_against([setup for setup in setups if setup.label in labels], ())
    reasons += different_lengths("at the capacity", ((each.label, each.lengths) for each in found))
    if estimates_of_several_machines(found):
        reasons.append("the energy is estimated and the machines differ")
    if reasons and not force:
        raise IncomparableError(reasons)
    return msgspec.structs.replace(cheapest_mix(found, demand), left_out=left_out, incomparable=tuple(reasons))


def _solved(found: Sequence[Machine], demand: float) -> tuple[list[int], list[float], list[float]]:
    """Return the number, the load and the hourly cost of the machines of each setup.

    Loads are scaled by the demand, so that the tolerances of the solver are relative to it.
    """
    import numpy as np  # noqa: PLC0415  slow
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415  slow

    segments = [
        (index, low, high, each.model)
        for index, each in enumerate(found)
        for (low, _), (high, _) in pairwise(each.model.curve)
    ]
    size = len(segments)
    prices = np.zeros(2 * size)
    rows = np.zeros((2 * size + 1, 2 * size))
    for place, (_, low, high, model) in enumerate(segments):
        slope = (model.per_hour(high) - model.per_hour(low)) / (high - low)
        share = model.capacity / demand  # of one machine at full load
        prices[place] = model.per_hour(low) - slope * low
        prices[size + place] = slope / share
        rows[place, place], rows[place, size + place] = -low * share, 1.0
        rows[size + place, place], rows[size + place, size + place] = high * share, -1.0
        rows[-1, size + place] = 1.0
    least = np.concatenate([np.zeros(2 * size), [1.0]])
    integers = np.concatenate([np.ones(size), np.zeros(size)])
    solved = milp(
        prices,
        integrality=integers,
        bounds=Bounds(0, np.inf),
        constraints=LinearConstraint(rows, least, np.inf),
        options={"mip_rel_gap": _GAP, "time_limit": _SECONDS},
    )
    if not solved.success:
        raise MixError(f"the solver found no mix: {solved.message}")
    counts, loads, costs = [0] * len(found), [0.0] * len(found), [0.0] * len(found)
    for place, (index, *_) in enumerate(segments):
        number, load = round(solved.x[place]), float(solved.x[size + place])
        counts[index] += number
        loads[index] += load * demand
        costs[index] += prices[place] * number + prices[size + place] * load
    return counts, loads, list(map(float, costs))
