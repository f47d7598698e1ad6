"""The views of a fleet: costs of machines, machines apart from their siblings, and machines that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.comparison.fleet_costs import work_costs
from agent.comparison.fleet_drift import DRIFT_SHARE, FEWEST_DAYS, drifts
from agent.comparison.fleet_outliers import OUTLIER_SHARE, machines_apart, outliers
from agent.comparison.fleet_records import FleetView
from store.fleet_query import fleet_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from agent.comparison.fleet_records import Drift, Outlier, WorkCosts
    from store.fleet_filter import PointFilter
    from store.fleet_records import FleetSpan, LeftOut

GROUP_BY = ("hardware", "engine", "site", "month")
_MOST_SERIES = 1000
"""The series that are read and split in time."""


def fleet_view(engine: Engine, wanted: PointFilter, source: str, group_by: Sequence[str] = GROUP_BY) -> FleetView:
    """Return all views of the points in a database; `source` names it, without a password. Raises StoreError."""
    with fleet_query(engine, wanted) as query:
        span = query.span()
        costs = work_costs(query.costs(group_by), group_by)
        found = machines_apart(query.siblings(OUTLIER_SHARE), query.tested["siblings"])
        apart = outliers(found, query.machines([(each.energy.setup, each.energy.host_id) for each in found]))
        series = query.series(FEWEST_DAYS, _MOST_SERIES, DRIFT_SHARE)
        changed = drifts(series, query.tested["series"])
        tested, left_out = query.tested, query.left_out
    return FleetView(
        source=source,
        hosts=span.hosts,
        points=span.points,
        first=span.first,
        last=span.last,
        group_by=tuple(group_by),
        costs=costs,
        outliers=apart,
        outliers_tested=tested["siblings"],
        drift=changed,
        drift_tested=tested["series"],
        notes=(*_notes(span, costs, tested), *_unread(left_out), *_doubts(apart, changed)),
    )


def _notes(span: FleetSpan, costs: Sequence[WorkCosts], tested: dict[str, int]) -> list[str]:
    machines = [each for work in costs for each in work.machines]
    notes = []
    if span.anonymous > 1:
        notes.append(f"{span.anonymous:,} anonymized profiles count as one host, since their machines are unknown")
    if span.without_energy:
        notes.append(f"hosts without energy: {span.without_energy} of {span.hosts}; `inferometer doctor` states why")
    if machines and all(each.cost is None for each in machines):
        notes.append("the profiles have no prices, so there are no costs: give `inferometer profile --tariff`")
    if len({each.boundary for each in machines}) > 1:
        notes.append("the energies have several boundaries, which are in rows of their own")
    if any(each.energy_source not in {"measured", ""} for each in machines):
        notes.append(
            "machines with estimated energy are neither outliers nor drift: the errors of a model differ between them"
        )
    if not tested["siblings"]:
        notes.append(
            "no machine was tested against siblings: that needs profiles of 3 days of each, and 3 others with the same "
            "hardware, engine, work and sensors"
        )
    if not tested["series"]:
        notes.append(f"no machine was tested for drift: that needs profiles of {FEWEST_DAYS} days of the same work")
    return notes


def _unread(left_out: LeftOut) -> list[str]:
    """Return the note on series in which drift was not searched, with a host that has most of them."""
    if not left_out.series:
        return []
    most = f" ({left_out.of_host:,} of the host {left_out.host})" if 2 * left_out.of_host > left_out.series else ""
    note = (
        f"drift was not searched in {left_out.series:,} series{most}: {_MOST_SERIES:,} others change more for their "
        "scatter, or are of other hosts; give --where to search in all series of some machines"
    )
    return [note]


def _doubts(apart: Sequence[Outlier], changed: Sequence[Drift]) -> list[str]:
    notes = []
    if any(each.ratio.mean < 1 for each in apart):
        notes.append(
            "some machines need less energy than their siblings: the common reason is a sensor that misses a part of "
            "the machine or has a wrong scale, and then their costs are too low as well"
        )
    if apart or changed:
        notes.append("the calibration of each machine's sensors is unknown and in no interval: confirm with a meter")
    return notes
