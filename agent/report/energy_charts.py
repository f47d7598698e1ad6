"""The charts of energy over the load, and of its idle share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.tables import percent, plain
from agent.report.chart import Axis, Bars, Chart
from agent.report.view import token_energy, work_energy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.records import Point
    from agent.report.loads import Amount, Loads
    from agent.report.view import View

_PREFIXES = ((1.0, ""), (1e3, "m"), (1e6, "µ"))
_KILO = 1e3


def energy_chart(views: Sequence[View], loads: Loads) -> Chart | None:
    """Return the energy of an output token over the load, or of a unit of work if one profile has no tokens."""
    tokens = all(view.has_tokens for view in views)
    value = token_energy if tokens else work_energy
    means = [found.mean for view in views for point in view.document.points if (found := value(point))]
    if not means:
        return None
    factor, prefix = next(((f, p) for f, p in _PREFIXES if max(means) * f >= 1), _PREFIXES[-1])

    def amount(point: Point) -> Amount | None:
        found = value(point)
        if found is None:
            return None
        return found.mean * factor, max(0.0, found.lower) * factor, found.upper * factor

    lines = [loads.line(view, view.label, view.color, amount) for view in views]
    unit = "output token" if tokens else views[0].work
    return Chart(
        "energy",
        f"Energy per {unit} by load",
        f"Joules per {unit} over the load, between {plain(min(means))} and {plain(max(means))} J. The bars are the "
        "95 % interval with the bounds of the sensors. Idle energy is included. Lower is better.",
        loads.axis,
        Axis(f"{prefix}J per {unit}", from_zero=True),
        tuple(line for line in lines if line),
    )


def idle_chart(views: Sequence[View]) -> Chart | None:
    """Return the idle and the dynamic part of the energy: of each point, or of each profile's chosen point."""
    several = len(views) > 1
    found = [
        (view.label if several else point.name, idle_share(point))
        for view in views
        for point in ([view.point] if several else view.document.points)
        if point
    ]
    shares = {name: share for name, share in found if share is not None}
    if not shares:
        return None
    return Chart(
        "idle",
        "Idle share of the energy",
        f"The share that the machine also draws without work: {percent(min(shares.values()))} to "
        f"{percent(max(shares.values()))} of the energy while it was busy. Waiting time comes on top.",
        Axis("share of the energy, %", from_zero=True),
        Axis("", tuple(shares)),
        bars=(
            Bars("idle power", tuple(100 * share for share in shares.values()), "muted"),
            Bars("dynamic (above idle)", tuple(100 * (1 - share) for share in shares.values()), "blue"),
        ),
        horizontal=True,
    )


def idle_share(point: Point) -> float | None:
    """Return the share of the unloaded idle power in the energy of a point, from 0 to 1; None without a baseline."""
    split = point.energy.joules_per_inference if point.energy else None
    if split is None or split.idle is None or not split.total.mean:
        return None
    return min(1.0, max(0.0, split.idle.mean / split.total.mean))
