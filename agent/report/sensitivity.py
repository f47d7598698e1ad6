"""The influence of each input on the cost of a profile, as a tornado chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.tables import plain
from agent.report.chart import Axis, Bars, Chart, Marker
from agent.report.cost_charts import million_of

if TYPE_CHECKING:
    from agent.report.view import View

_MOST_INFLUENCES = 10
_BASES = {"range": "range given", "ten_percent": "±10 %", "measured": "measured bounds"}


def sensitivity_chart(view: View, number: int) -> Chart | None:
    """Return the costs at both ends of each input, the largest influence first; None without a cost."""
    found = view.cost.sensitivity[:_MOST_INFLUENCES] if view.cost else ()
    totals = view.cost.totals if view.cost else {}
    total = totals.get("allocation", totals.get("usage"))
    if not found or total is None:
        return None
    lower = tuple(min(each.cost_at_low, each.cost_at_high, total.mean) for each in found)
    upper = tuple(max(each.cost_at_low, each.cost_at_high, total.mean) for each in found)
    unit = f"{view.currency} per {million_of(view)}"
    names = tuple(f"{each.name.replace('_', ' ')}, {_BASES[each.basis]}" for each in found)
    mean = total.mean
    return Chart(
        f"sensitivity-{number}",
        f"Sensitivity: {view.label}",
        f"{unit} at both ends of each input, the largest influence first, all other inputs unchanged: {names[0]} moves "
        f"it from {plain(lower[0])} to {plain(upper[0])}. Inputs without a range are varied by 10 %.",
        Axis(unit),
        Axis("", names),
        bars=(
            Bars("cheaper", tuple(mean - end for end in lower), "green", base=lower, listed=lower),
            Bars("dearer", tuple(end - mean for end in upper), "red", base=(mean,) * len(found), listed=upper),
        ),
        markers=(Marker(f"now: {plain(mean)}", mean),),
        horizontal=True,
    )
