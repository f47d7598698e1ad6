"""The first sentences of a report, for readers who read nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.figures import unmeasured_reason
from agent.render.tables import number, percent, plain
from agent.report.cost_charts import million_of, parts_of, scale_of, total
from agent.report.offers import priced_offers
from agent.report.view import preferred, token_energy, work_energy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.cost.model import BasisCost
    from agent.profiling.records import Point
    from agent.report.view import View

_NEGLIGIBLE = 1e-3
"""The utilization below which an offer is cheaper for a few minutes of a day only."""


def sentence(view: View) -> str:
    """Return the answer of a profile: the cost of a million tokens, else the energy of one, else the speed."""
    point = view.point
    if point is None:
        return "The run has no complete point, so there is no figure."
    cost = preferred(point)
    if cost and (amount := total(view, cost)):
        return _cost(view, cost, amount[0])
    return _energy(view, point)


def _cost(view: View, cost: BasisCost, amount: float) -> str:
    parts = parts_of(view, cost)
    energy = f", {money(view, parts.energy.mean * scale_of(view))} of it for energy" if parts and parts.energy else ""
    given = cost.utilization < 1
    used = f"at {percent(cost.utilization)} utilization" if given else "if it is always fully used"
    return f"A {million_of(view)} cost {money(view, amount)} on this machine {used}{energy}{_offer(view)}."


def _offer(view: View) -> str:
    """Return the utilizations at which the cheapest offer costs less than the machine, empty without offers."""
    best = next(priced_offers(view), None)
    if best is None:
        return ""
    name = f"{best.name} (always busy)" if best.always_busy else best.name
    if not best.cheaper:
        return f"; the offer {name} is cheaper at any utilization"
    low, high = best.cheaper[0].low, best.cheaper[-1].high
    if low <= _NEGLIGIBLE:
        return f"; the offer {name} is not cheaper at any utilization"
    above = f" and above {percent(high)}" if high < 1 else ""
    return f"; the offer {name} is cheaper below {percent(low)}{above} utilization"


def _energy(view: View, point: Point) -> str:
    rate = f"{plain(point.inferences_per_second.mean)} {view.work}s a second"
    if (joules := work_energy(point)) is None:
        reason = "its energy was withheld" if not point.valid else unmeasured_reason(view.plain)
        return f"This machine does {rate}; {reason}, so there is no figure of energy or cost."
    per_token = token_energy(point)
    unit = f"{_article(view.work)} {view.work} takes {number(joules.mean, 'J')}"
    if per_token:
        unit = f"A million output tokens take {number(per_token.mean * 1e6, 'J')}"
    return f"{unit} on this machine at {rate}. Without prices there is no cost: give them with --tariff."


def _article(word: str) -> str:
    return "An" if word[0] in "aeiou" else "A"


def qualifications(view: View) -> Iterator[str]:
    """Yield the sentences that a reader of the first one must know: the range, the source, the point, the checks."""
    point, note = view.chosen
    if point is None:
        return
    yield from _ranges(view, point)
    coverage = view.document.coverage
    if coverage.source in {"estimated", "mixed"}:
        part = "The energy" if coverage.source == "estimated" else "A part of the energy"
        half = f" to ±{percent(coverage.relative_uncertainty)}" if coverage.relative_uncertainty else ""
        yield f"{part} is estimated{half}, not measured."
    yield f"The figures are those of {point.name or 'the only point'}{f': {note}' if note else ''}."
    if view.document.status != "complete":
        yield f"The run is {view.document.status}, so points and repeats are missing."
    failed = {check.name for each in view.document.points for check in each.checks if check.failed}
    if failed:
        checks = "1 check" if len(failed) == 1 else f"{len(failed)} checks"
        yield f"{checks} failed: see the warnings below."


def _ranges(view: View, point: Point) -> Iterator[str]:
    """Yield the 95 % interval of the cost and its worst case; without draws the worst case of the measured bounds."""
    amount = total(view, preferred(point))
    totals = view.cost.totals if view.cost else {}
    if found := totals.get("allocation", totals.get("usage")):
        likely = _range(view, found.lower, found.upper)
        yield f"The 95 % interval is {likely}, the worst case {_range(view, found.worst_lower, found.worst_upper)}."
    elif amount and amount[1] is not None:
        yield f"The measured bounds allow {_range(view, amount[1], amount[2])}."


def _range(view: View, lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return f"up to {money(view, upper)}" if upper is not None else f"{money(view, lower or 0.0)} or more"
    return f"{money(view, lower)} to {money(view, upper)}"


def money(view: View, amount: float) -> str:
    """Return an amount with its currency before it: `EUR 0.41`."""
    return f"{view.currency} {plain(amount)}"
