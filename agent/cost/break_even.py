"""The utilization and the demand above which an owned machine is cheaper than an offer, and the payback time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.cost.rented import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent.cost.hourly import HourlyModel
    from agent.cost.rented import Rental

_MOST_MACHINES = 50
_MOST_INSTANCES = 2000
_NEIGHBORS = 1e-9
"""Numbers that differ by a smaller share are one."""


@dataclass(frozen=True, slots=True)
class Range:
    """The loads from `low` to `high` for which owning is cheaper."""

    low: float
    high: float


def break_even_utilizations(model: HourlyModel, price: float) -> tuple[Range, ...]:
    """Return the utilizations of one machine at which it is cheaper than a price of a unit of its work.

    H(u) = 3600 X u p, solved on each piece of the power curve; on one piece this is
    u* = (c + k P_idle) / (3600 X p - k (P_busy - P_idle)) with k = price of energy * overhead / 1000. Empty: never.
    """

    def gain(utilization: float) -> float:
        return SECONDS_PER_HOUR * model.capacity * utilization * price - model.per_hour(utilization)

    return _joined(_positive(gain, low, high) for (low, _), (high, _) in pairwise(model.curve))


def cheaper_demands(model: HourlyModel, rental: Rental, usable: float) -> tuple[Range, ...]:
    """Return the constant demands, in requests per second, that whole owned machines serve cheaper than a rental.

    The least number of machines, each of which does up to `usable` requests per second, shares the demand equally.
    Machines are bought and instances are rented whole, so there are several ranges; they are searched up to
    `searched_demand`.
    """
    limit = searched_demand(rental, usable)
    edges = {0.0, limit}
    for machines in range(1, round(limit / usable) + 1):
        edges.add(machines * usable)
        edges.update(machines * model.capacity * place for place, _ in model.curve)
    if rental.price_per_request is None and rental.capacity is not None:
        edges.update(count * rental.capacity for count in range(1, int(limit / rental.capacity) + 1))
    places = [0.0]
    for edge in sorted(edges):
        if places[-1] * (1 + _NEIGHBORS) < edge <= limit:
            places.append(edge)
    return _joined(_cheaper(model, rental, usable, low, high) for low, high in pairwise(places))


def searched_demand(rental: Rental, usable: float) -> float:
    """Return the highest demand up to which crossings are searched, in requests per second."""
    limit = _MOST_MACHINES * usable
    if rental.price_per_request is not None or rental.capacity is None:
        return limit
    return min(limit, _MOST_INSTANCES * rental.capacity)


def payback_years(
    investment: float,
    rent: float,
    running: float,
    life_years: float,
    rent_change: float = 0.0,
) -> float | None:
    """Return the years until the saved rent has paid an investment, without interest; None: not within its life.

    `rent` is the rent of the first year, which changes by `rent_change` each year, and `running` the yearly cost of the
    owned machines without their acquisition.
    """
    paid, year = 0.0, 0
    while year < life_years:
        saved = rent * (1 + rent_change) ** year - running
        part = min(1.0, life_years - year)
        if paid >= investment:
            return float(year)
        if paid + saved * part >= investment:
            return year + (investment - paid) / saved
        paid += saved * part
        year += 1
    return None


def owned_per_hour(model: HourlyModel, rate: float, machines: int) -> float:
    """Return the cost of an hour of machines that share a rate equally."""
    return machines * model.per_hour(min(1.0, rate / (machines * model.capacity)))


def _cheaper(model: HourlyModel, rental: Rental, usable: float, low: float, high: float) -> Range | None:
    """Return the part of a range of demands, in which no number of machines changes, where owning is cheaper."""
    middle = (low + high) / 2
    machines = int(middle / usable) + 1
    if rental.price_per_request is not None:
        price, rented = SECONDS_PER_HOUR * rental.price_per_request, 0.0
    else:
        assert rental.capacity is not None  # noqa: S101  an instance has one
        price, rented = 0.0, (int(middle / rental.capacity) + 1) * (rental.offer.price_per_hour or 0.0)

    def gain(rate: float) -> float:
        return price * rate + rented - owned_per_hour(model, rate, machines)

    return _positive(gain, low, high)


def _positive(gain: Callable[[float], float], low: float, high: float) -> Range | None:
    """Return the part of a range in which a gain, linear in it, is 0 or more; None if it is at most one end."""
    first, last = gain(low), gain(high)
    if first < 0 and last < 0:
        return None
    if first >= 0 and last >= 0:
        return Range(low, high)
    zero = low + (high - low) * (first / (first - last))
    return Range(low, zero) if first >= 0 else Range(zero, high)


def _joined(parts: Iterable[Range | None]) -> tuple[Range, ...]:
    return tuple(_join(part for part in parts if part))


def _join(parts: Iterator[Range]) -> Iterator[Range]:
    """Yield rising ranges; those that touch are one."""
    found = next(parts, None)
    for part in parts:
        assert found is not None  # noqa: S101  there is a first one
        if part.low <= found.high:
            found = Range(found.low, part.high)
        else:
            yield found
            found = part
    if found is not None:
        yield found
