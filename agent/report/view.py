"""A profile as a report shows it: the document, its name and color, its power over time, and the point of its costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from agent.profiling.costing import cost_answer
from agent.profiling.pricing import NoCostError, sustained_point
from agent.render.tables import number
from agent.report.chart import series_color
from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cost.model import BasisCost
    from agent.profiling.costing import CostAnswer
    from agent.profiling.records import Document, Point, UncertainValue
    from agent.report.power_trace import PowerTrace

_LONGEST_LABEL = 48
MILLION = 1e6


@dataclass(frozen=True)
class View:
    """One profile of a report; `trace` is None if the store has no samples of its run."""

    document: Document
    label: str
    color: str
    trace: PowerTrace | None = None

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The document as JSON objects, which the printed profile is made from."""
        found: dict[str, Any] = msgspec.to_builtins(self.document)
        return found

    @cached_property
    def chosen(self) -> tuple[Point | None, str | None]:
        """The point that the sentence, the costs and the comparison use, and a note on the choice.

        Without energies it is the point of the highest rate.
        """
        try:
            return sustained_point(self.document)
        except NoCostError:
            points = self.document.points
            return max(points, key=lambda point: point.inferences_per_second.mean, default=None), None

    @cached_property
    def cost(self) -> CostAnswer | None:
        """The answer of `inferometer cost` under the profile's tariff; None without prices, energy, or NumPy."""
        if self.document.tariff is None:
            return None
        try:
            return cost_answer(self.document, self.document.tariff)
        except (NoCostError, ImportError):
            return None

    @property
    def point(self) -> Point | None:
        """The chosen point."""
        return self.chosen[0]

    @property
    def work(self) -> str:
        """The word for one unit of work: request, or inference."""
        return "request" if any(point.serving for point in self.document.points) else "inference"

    @property
    def has_tokens(self) -> bool:
        """Whether energies per output token are known."""
        return any(point.energy and point.energy.joules_per_output_token for point in self.document.points)

    @property
    def currency(self) -> str:
        """The currency of the costs."""
        tariff = self.document.tariff
        return (tariff and tariff.currency) or "price units"


def views_of(documents: Sequence[Document], traces: Sequence[PowerTrace | None]) -> tuple[View, ...]:
    """Return the profiles with labels that differ, each in a color of its own."""
    names = distinct([_name(document) for document in documents])
    count = Counter(names)
    ids = [document.id for document in documents]
    labels = [name if count[name] == 1 else f"{name} {tail}" for name, tail in zip(names, _tails(ids), strict=True)]
    return tuple(
        View(document, label, series_color(number), trace)
        for number, (document, label, trace) in enumerate(zip(documents, labels, traces, strict=True))
    )


def distinct(names: Sequence[str]) -> list[str]:
    """Return names without the words that all of them begin or end with, unless nothing were left of one."""
    words = [name.split() for name in names]
    for side in (slice(1, None), slice(None, -1)):
        end = 0 if side.start else -1
        while len(words) > 1 and all(len(each) > 1 for each in words) and len({each[end] for each in words}) == 1:
            words = [each[side] for each in words]
    return [" ".join(each).removesuffix(" on") or name for each, name in zip(words, names, strict=True)]


def _tails(ids: Sequence[str]) -> list[str]:
    """Return the ends of the ids, numbered if two profiles have one id."""
    short = [printable_line(each[-11:]) for each in ids]
    return [each if short.count(each) == 1 else f"{each} ({at})" for at, each in enumerate(short, 1)]


def _name(document: Document) -> str:
    shown = printable_line(f"{model_name(document)} on {document.host.name}")
    return shown if len(shown) <= _LONGEST_LABEL else f"{shown[: _LONGEST_LABEL - 1]}…"


def model_name(document: Document) -> str:
    """Return the name of the model, or the kind and the size of a generated one."""
    workload = document.workload
    if model := workload.settings.get("model"):
        return PurePath(str(model)).name
    count = workload.parameter_count
    parts = (workload.name, None if count is None else f"{number(count)} parameters", workload.precision)
    return " ".join(filter(None, parts))


def preferred(point: Point) -> BasisCost | None:
    """Return the cost on the allocation basis, on the usage basis without a utilization, None without prices."""
    return (point.cost.allocation or point.cost.usage) if point.cost else None


def token_energy(point: Point) -> UncertainValue | None:
    """Return the energy of an output token, None if it is unknown."""
    return point.energy.joules_per_output_token if point.energy else None


def work_energy(point: Point) -> UncertainValue | None:
    """Return the energy of an inference, None if it is unknown."""
    return point.energy.joules_per_inference.total if point.energy else None
