"""The tables of a fleet as texts: costs by work, outliers and drift; for terminals, pages and Markdown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from agent.comparison.fleet_outliers import OUTLIER_SHARE
from agent.render.comparison_text import times
from agent.render.tables import percent, plain, spread

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agent.comparison.fleet_records import FleetView, MachineCost, Place, WorkCosts
    from agent.cost.interval import Interval

_VARYING = {"boundary": "boundary", "energy_source": "energy", "cost_basis": "basis", "currency": "currency"}
"""The fields that are a column if they differ within the fleet, with its heading; the source and the basis also if
they limit the figures of all.
"""


_DIGITS = 8
"""The digits of a digest that distinguish works of one name."""


class FleetTable(NamedTuple):
    """A table under its title; a heading that ends in `>` is one of numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def cost_tables(view: FleetView) -> tuple[FleetTable, ...]:
    """Return the costs and the energies of machines, a table for each work."""
    every = [each for work in view.costs for each in work.machines]
    varying = [name for name in _VARYING if _is_shown({getattr(each, name) for each in every})]
    shared = shared_names(view)
    return tuple(_cost_table(work, view.group_by, shared, varying) for work in view.costs)


def _is_shown(values: set[str]) -> bool:
    """Return whether values differ, or the only one is a source that is not measured or the basis of one part alone."""
    return len(values) > 1 or any(value in {"estimated", "mixed"} or value.endswith(" alone") for value in values)


def _cost_table(
    work: WorkCosts, group_by: Sequence[str], shared: Collection[str], varying: Sequence[str]
) -> FleetTable:
    currency = "" if "currency" in varying else work.machines[0].currency
    headings = (
        *group_by,
        *(_VARYING[name] for name in varying),
        *("hosts>", "profiles>", f"{currency or 'cost'} per million>", "±", f"joules per {work.unit}>", "±"),
    )
    title = f"{work_name(work, shared)}, by {work.unit}"
    return FleetTable(title, headings, tuple(_cost_row(each, varying) for each in work.machines))


def _cost_row(machine: MachineCost, varying: Sequence[str]) -> tuple[str, ...]:
    facts = (*machine.group.values(), *(getattr(machine, name) for name in varying))
    return (
        *(value or "-" for value in facts),
        f"{machine.hosts:,}",
        f"{machine.profiles:,}",
        *_figure(machine.cost),
        *_figure(machine.joules),
    )


def _figure(value: Interval | None) -> tuple[str, str]:
    """Return a mean, and the half-width of its interval as a share."""
    if value is None:
        return "-", ""
    return plain(value.mean), spread(value.mean, value.lower, value.upper).removeprefix("±")


def outlier_table(view: FleetView) -> FleetTable:
    """Return the machines that need more or less energy than their siblings."""
    headings, shared = (*_PLACE, "energy>", "siblings>", "days>", "p>"), shared_names(view)
    rows = tuple(
        (*_place(each.place, shared), _ratio(each.ratio), f"{each.siblings:,}", f"{each.days:,}", f"{each.p:.2g}")
        for each in view.outliers
    )
    return FleetTable(
        f"Machines that need {percent(OUTLIER_SHARE)} more or less energy than their siblings", headings, rows
    )


def drift_table(view: FleetView) -> FleetTable:
    """Return the machines whose energy changed."""
    headings, shared = (*_PLACE, "since", "energy>", "days before>", "days after>", "p>"), shared_names(view)
    rows = tuple(
        (
            *_place(each.place, shared),
            each.since[:10],
            _ratio(each.ratio),
            f"{each.days_before:,}",
            f"{each.days_after:,}",
            f"{each.p:.2g}",
        )
        for each in view.drift
    )
    return FleetTable("Machines whose energy changed", headings, rows)


def shared_names(view: FleetView) -> frozenset[str]:
    """Return the names that several works have, such as those with other numbers of output tokens."""
    works = {(each.work, _plain_name(each)) for each in view.costs}
    return frozenset(name for name, count in Counter(name for _, name in works).items() if count > 1)


def work_name(work: WorkCosts | Place, shared: Collection[str]) -> str:
    """Return the model, its precision and the point in words, and the digest of a work with a shared name."""
    name = _plain_name(work)
    return f"{name} (work {work.work[:_DIGITS]})" if name in shared else name


def _plain_name(work: WorkCosts | Place) -> str:
    return " ".join(filter(None, (work.model, work.precision, work.point)))


_PLACE = ("host", "site", "rack", "hardware", "work")


def _place(place: Place, shared: Collection[str]) -> tuple[str, ...]:
    return place.host, place.site or "-", place.rack or "-", place.hardware, work_name(place, shared)


def _ratio(ratio: Interval) -> str:
    return times(ratio.mean, ratio.lower, ratio.upper)
