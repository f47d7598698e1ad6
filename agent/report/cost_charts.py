"""The charts of money: by load, by part, and by utilization. Currencies are never mixed in one chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.profiling.offer_inputs import mix_of
from agent.render.tables import percent, plain
from agent.report.chart import Axis, Bars, Chart, Line, Marker, series_color
from agent.report.offers import machine_of, priced_offers
from agent.report.view import MILLION, preferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.cost.model import BasisCost, CostBreakdown
    from agent.profiling.records import Point
    from agent.report.loads import Amount, Loads
    from agent.report.view import View

_UTILIZATIONS = tuple(
    share / 100 for share in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
)
_PART_COLORS = {
    "energy": "orange",
    "cooling_and_distribution": "red",
    "cooling": "red",
    "distribution": "brown",
    "demand_charge": "purple",
    "capital": "blue",
    "acquisition": "blue",
    "rent": "blue",
    "interest_on_residual": "purple",
    "maintenance": "teal",
    "licences": "green",
    "staff": "pink",
    "facility": "muted",
}
"""The parts of a cost in their order."""


def cost_charts(views: Sequence[View], loads: Loads) -> Iterator[Chart]:
    """Yield the charts of each currency."""
    priced = [view for view in views if any(point.cost for point in view.document.points)]
    for currency in dict.fromkeys(view.currency for view in priced):
        same = [view for view in priced if view.currency == currency]
        suffix = f"-{number}" if (number := list(dict.fromkeys(v.currency for v in priced)).index(currency)) else ""
        for chart in (_by_load(same, loads, suffix), _by_part(same, suffix), _by_utilization(same, suffix)):
            if chart:
                yield chart


def million_of(view: View) -> str:
    """Return the unit that costs are shown for: a million output tokens, or of requests or inferences."""
    return "million output tokens" if _tokens(view) else f"million {view.work}s"


def _tokens(view: View) -> bool:
    costs = [found for point in view.document.points if (found := preferred(point))]
    return any(cost.per_million_output_tokens for cost in costs)


def parts_of(view: View, cost: BasisCost) -> CostBreakdown | None:
    """Return the parts of the cost of a million output tokens, or of one unit of work times a million."""
    return cost.per_million_output_tokens if _tokens(view) else cost.per_inference


def scale_of(view: View) -> float:
    """Return the factor from the amounts of `parts_of` to a million units."""
    return 1.0 if _tokens(view) else MILLION


def total(view: View, cost: BasisCost | None) -> Amount | None:
    """Return the cost of a million units with its bounds, None without all parts."""
    parts = cost and parts_of(view, cost)
    if not parts or parts.energy is None or parts.capital is None:
        return None
    whole, factor = parts.energy.plus(parts.capital), scale_of(view)
    lower, upper = (None if end is None else end * factor for end in (whole.lower, whole.upper))
    return whole.mean * factor, lower, upper


def _by_load(views: Sequence[View], loads: Loads, suffix: str) -> Chart | None:
    lines: list[Line | None] = []
    for view in views:
        if len(views) > 1:
            lines.append(loads.line(view, view.label, view.color, _on("preferred", view)))
            continue
        lines.append(loads.line(view, "at full use", "green", _on("usage", view)))
        utilization = view.document.tariff and view.document.tariff.utilization
        if utilization:
            name = f"at {percent(utilization)} utilization"
            lines.append(loads.line(view, name, "blue", _on("allocation", view)))
    known = tuple(line for line in lines if line)
    if not known:
        return None
    means = [value for line in known for value in line.y if value is not None]
    unit = f"{views[0].currency} per {million_of(views[0])}"
    open_ended = " A bar without an upper end is unbounded." if any(None in line.upper for line in known) else ""
    return Chart(
        f"cost{suffix}",
        f"Cost per {million_of(views[0])} by load",
        f"{unit} over the load, between {plain(min(means))} and {plain(max(means))}. The bars are the worst "
        f"combination of the measured bounds.{open_ended} Lower is better.",
        loads.axis,
        Axis(unit, from_zero=True),
        known,
    )


def _on(basis: str, view: View) -> Callable[[Point], Amount | None]:
    """Return the function that gives the cost of a point on a basis."""

    def amount(point: Point) -> Amount | None:
        if point.cost is None:
            return None
        return total(view, preferred(point) if basis == "preferred" else getattr(point.cost, basis))

    return amount


def _by_part(views: Sequence[View], suffix: str) -> Chart | None:
    shown: list[tuple[str, dict[str, float]]] = []
    for view in views:
        cost = view.point.cost if view.point else None
        head = f"{view.label}, " if len(views) > 1 else ""
        if cost and (parts := _parts(view, cost.usage)):
            shown.append((f"{head}full use", parts))
        if cost and cost.allocation and (parts := _parts(view, cost.allocation)):
            shown.append((f"{head}{percent(cost.allocation.utilization)} used", parts))
    names = [name for name in _PART_COLORS if any(name in parts for _, parts in shown)]
    if not names:
        return None
    unit = f"{views[0].currency} per {million_of(views[0])}"
    return Chart(
        f"parts{suffix}",
        "Parts of the cost",
        f"The parts of the cost in {unit}, at full use and at the utilization given. The difference pays for a "
        "waiting machine.",
        Axis(unit, from_zero=True),
        Axis("", tuple(name for name, _ in shown)),
        bars=tuple(
            Bars(name.replace("_", " "), tuple(parts.get(name) for _, parts in shown), _PART_COLORS[name])
            for name in names
        ),
        horizontal=True,
    )


def _parts(view: View, cost: BasisCost) -> dict[str, float]:
    """Return the lines of a cost of a million units by name; the sums of energy and capital without lines."""
    hour, amount = cost.per_hour, total(view, cost)
    if hour.lines and hour.total and amount:
        return {line.name: line.amount / hour.total * amount[0] for line in hour.lines if line.amount}
    parts, factor = parts_of(view, cost), scale_of(view)
    known = {} if parts is None else {"energy": parts.energy, "capital": parts.capital}
    return {name: part.mean * factor for name, part in known.items() if part}


def _by_utilization(views: Sequence[View], suffix: str) -> Chart | None:
    lines = [line for view in views if (line := _curve(view))]
    if not lines:
        return None
    tariffs = [view.document.tariff for view in views if view.document.tariff]
    given = dict.fromkeys(tariff.utilization for tariff in tariffs if tariff.utilization)
    offers = {offer.label: offer.price_per_request * _requests(view) for view in views for offer in priced_offers(view)}
    unit = f"{views[0].currency} per {million_of(views[0])}"
    beside = (
        " The dotted lines are offers of the tariff; an offer is cheaper while the curve is above its line."
        if offers
        else ""
    )
    return Chart(
        f"utilization{suffix}",
        "Break-even" if offers else "Cost by utilization",
        f"{unit} by the share of the measured throughput that is used. A waiting machine costs the same and does "
        f"less, so each unit is dearer on the left.{beside}",
        Axis("utilization, % (logarithmic)", log=True),
        Axis(f"{unit} (logarithmic)", log=True),
        tuple(lines),
        markers=(
            *(Marker(f"given: {percent(share)}", 100 * share) for share in given),
            *(
                Marker(name, price, vertical=False, color=series_color(len(views) + at))
                for at, (name, price) in enumerate(offers.items())
            ),
        ),
    )


def _curve(view: View) -> Line | None:
    machine, point, requests = machine_of(view), view.point, _requests(view)
    if machine is None or point is None or not requests:
        return None
    costs = tuple(requests * machine.per_unit(share) for share in _UTILIZATIONS)
    name = f"{view.label}, {point.name}".removesuffix(", ")
    return Line(name, tuple(100 * share for share in _UTILIZATIONS), costs, view.color, marked=False)


def _requests(view: View) -> float:
    """Return the requests in the unit of the costs: a million, or as many as give a million output tokens."""
    if view.point is None or view.point.energy is None:
        return 0.0
    tokens = mix_of(view.point).output_tokens if _tokens(view) else 1.0
    return MILLION / tokens if tokens else 0.0
