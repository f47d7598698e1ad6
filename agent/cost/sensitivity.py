"""The influence of each input on a cost, in the order of a tornado chart, and the worst case of all given ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.cost.interval import Interval
from agent.cost.limits import TariffError
from agent.cost.model import price_point
from agent.cost.tariff import RANGES, Tariff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.cost.model import Cost, PointCost

    Amount = Callable[[Cost], Interval | None]

_VARIATION = 0.1
_MEASURED = ("energy_joules", "throughput", "idle_watts")


class Influence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The change of a cost by one input, all others at their means.

    `low` and `high` are values of the input: the ends of a given range, the bounds of a measurement, or 10 % below and
    above; `cost_at_low` and `cost_at_high` the costs there.
    """

    name: str
    value: float
    low: float
    high: float
    basis: Literal["range", "ten_percent", "measured"]
    cost_at_low: float
    cost_at_high: float

    @property
    def swing(self) -> float:
        """The difference of both costs."""
        return abs(self.cost_at_high - self.cost_at_low)


def influences(tariff: Tariff, point: PointCost, amount: Amount) -> tuple[Influence, ...]:
    """Return the inputs that change a cost, the one with the largest swing first; none if the cost is unknown."""
    found = [each for each in (*_of_tariff(tariff, point, amount), *_of_point(tariff, point, amount)) if each.swing]
    return tuple(sorted(found, key=lambda each: -each.swing))


def worst_case(tariff: Tariff, point: PointCost, amount: Amount) -> Interval | None:
    """Return a cost with the bounds of the worst case: every range at the end that makes it cheapest, or dearest.

    Bounds of the measurements are at their worst together, too. None if the cost is unknown.
    """
    cheapest, dearest = {}, {}
    for each in _of_tariff(tariff, point, amount):
        if each.basis == "range":
            ends = (each.low, each.high) if each.cost_at_low <= each.cost_at_high else (each.high, each.low)
            cheapest[each.name], dearest[each.name] = ends
    mean = amount(price_point(tariff, point))
    if mean is None:
        return None
    low, high = (amount(price_point(tariff.with_values(ends), point)) for ends in (cheapest, dearest))
    return Interval(mean.mean, low.lower if low else None, high.upper if high else None)


def _of_tariff(tariff: Tariff, point: PointCost, amount: Amount) -> Iterator[Influence]:
    given = {each.name: (each.low, each.high) for each in tariff.ranges}
    for name, allowed in RANGES.items():
        value = getattr(tariff, name)
        if value is None:
            continue
        low, high = given.get(name, (value * (1 - _VARIATION), value * (1 + _VARIATION)))
        low, high = max(low, allowed.low), min(high, allowed.high)
        try:
            costs = [amount(price_point(_changed(tariff, name, end), point)) for end in (low, high)]
        except TariffError:  # a value that is a whole number, or the part of a sum that is fixed
            continue
        if costs[0] and costs[1]:
            basis: Literal["range", "ten_percent"] = "range" if name in given else "ten_percent"
            yield Influence(name, value, low, high, basis, costs[0].mean, costs[1].mean)


def _changed(tariff: Tariff, name: str, value: float) -> Tariff:
    """Return the tariff with one other number, its origin unchanged."""
    return msgspec.structs.replace(tariff, ranges=(), **{name: value})


def _of_point(tariff: Tariff, point: PointCost, amount: Amount) -> Iterator[Influence]:
    for name in _MEASURED:
        value: Interval | None = getattr(point, name)
        if value is None or value.lower is None or value.upper is None or (name == "throughput" and value.lower <= 0):
            continue
        ends = (max(0.0, value.lower), value.upper)
        costs = [amount(price_point(tariff, _with(point, name, end))) for end in ends]
        if costs[0] and costs[1]:
            yield Influence(name, value.mean, *ends, "measured", costs[0].mean, costs[1].mean)


def _with(point: PointCost, name: str, value: float) -> PointCost:
    changes: dict[str, Any] = {name: Interval.exact(value)}
    return replace(point, **changes)
