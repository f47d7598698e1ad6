"""The costs of a profile for exporters: the basis that the tariff allows, and the refusal without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.exports.records import ExportError
from agent.profiling.pricing import point_cost, sustained_point

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.cost.interval import Interval
    from agent.cost.model import BasisCost, PointCost
    from agent.profiling.records import Document, Point


@dataclass(frozen=True, slots=True)
class PricedPoint:
    """A point with its total cost on one basis: `allocation` if the tariff has a utilization, else `usage`."""

    document: Document
    point: Point
    basis: str
    cost: BasisCost
    currency: str

    @property
    def total(self) -> Interval:
        """The cost of one inference, with its idle time on the allocation basis."""
        total = self.cost.per_inference.total
        assert total is not None  # noqa: S101  priced_points() leaves the others out
        return total

    @property
    def work(self) -> PointCost:
        """The energy, the throughput and the tokens of an inference, as its cost was computed from."""
        return point_cost(self.point, self.document.baselines)

    @property
    def cached_tokens(self) -> float | None:
        """The input tokens of an inference that the server read from its cache; None if unknown."""
        rate = self.point.serving.cached_input_tokens_per_second if self.point.serving else None
        return None if rate is None else rate / self.point.inferences_per_second.mean

    @property
    def source(self) -> str:
        """The source of its energy: measured, estimated or mixed."""
        return self.point.energy.joules_per_inference.total.source if self.point.energy else "unknown"

    @property
    def assumed(self) -> str:
        """The defaults behind the cost, in one line."""
        assumed = self.point.cost.assumed if self.point.cost else ()
        return "; ".join(each.text for each in assumed)


def priced_points(documents: Iterable[Document]) -> list[PricedPoint]:
    """Return every point with a total cost.

    Raises ExportError if a document has none, or if its tariff names no currency.
    """
    priced, missing = [], []
    for document in documents:
        found = [each for point in document.points if (each := _priced(document, point))]
        lacking = _missing(document, has_total=bool(found))
        if lacking:
            missing.append(f"{document.id}: {lacking}")
        priced += found
    if missing:
        raise ExportError(missing)
    return priced


def left_out(document: Document) -> tuple[str, ...]:
    """Return the note about points without energy, none if every point has one."""
    names = [point.name or document.workload.name for point in document.points if point.energy is None]
    return (f"{document.id}: left out, since they have no energy: {', '.join(names)}",) if names else ()


def priced_at_capacity(documents: Iterable[Document]) -> tuple[list[PricedPoint], tuple[str, ...]]:
    """Return the point of each document at the machine's capacity, and the notes about those capacities.

    Raises ExportError as priced_points does, or if that point has no total cost.
    """
    found, notes = [], []
    for document in documents:
        priced = priced_points([document])
        point, note = sustained_point(document)
        chosen = next((each for each in priced if each.point.name == point.name), None)
        if chosen is None:
            raise ExportError([f"{document.id}: the total cost of the point {point.name}"])
        found.append(chosen)
        if note:
            notes.append(f"{document.id}: {note}")
    return found, tuple(notes)


def _priced(document: Document, point: Point) -> PricedPoint | None:
    if point.cost is None:
        return None
    basis, cost = ("allocation", point.cost.allocation) if point.cost.allocation else ("usage", point.cost.usage)
    if cost is None or cost.per_inference.total is None:
        return None
    return PricedPoint(document, point, basis, cost, point.cost.currency or "")


def _missing(document: Document, *, has_total: bool) -> str:
    if not any(point.energy for point in document.points):
        return "an energy, which its cost needs (`inferometer doctor` names the sensors)"
    if document.tariff is None:
        return "prices: give them with --tariff FILE.toml (price_per_kwh, currency, and capital or price_per_hour)"
    if not has_total:
        reasons = {point.cost.usage.no_total_reason for point in document.points if point.cost}
        return f"a total cost ({'; '.join(sorted(filter(None, reasons)))}): give the price with --tariff FILE.toml"
    return "" if document.tariff.currency else "the currency of its prices: give it with --tariff FILE.toml"
