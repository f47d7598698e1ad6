"""The costs of machines by work, with their intervals between hosts; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent.comparison.fleet_places import digest_text
from agent.comparison.fleet_records import MachineCost, WorkCosts
from agent.cost.interval import Interval
from agent.energy.student import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.fleet_records import CostGroup, HostMean


def work_costs(groups: Sequence[CostGroup], names: Sequence[str]) -> tuple[WorkCosts, ...]:
    """Return the groups by work, those of the most profiles first; `names` are those of the values of a group.

    The machines of a work are in the order of their values.
    """
    by_work: dict[int, list[CostGroup]] = {}
    for group in groups:
        by_work.setdefault(group.work, []).append(group)
    ordered = sorted(
        by_work.values(), key=lambda own: (-sum(each.profiles for each in own), (_name(own[0]), own[0].work))
    )
    return tuple(
        WorkCosts(
            work=digest_text(own[0].work),
            workload=own[0].workload,
            model=own[0].model,
            precision=own[0].precision,
            point=own[0].point,
            unit=own[0].unit,
            machines=tuple(_machines(each, names) for each in sorted(own, key=_order)),
        )
        for own in ordered
    )


def _name(group: CostGroup) -> tuple[str, ...]:
    return (group.workload, group.model, group.precision, group.point)


def _order(group: CostGroup) -> tuple[object, ...]:
    return (group.values, group.boundary, group.energy_source, group.currency, group.cost_basis)


def _machines(group: CostGroup, names: Sequence[str]) -> MachineCost:
    return MachineCost(
        group=dict(zip(names, group.values, strict=True)),
        hosts=group.hosts,
        profiles=group.profiles,
        cost=_interval(group.cost),
        joules=_interval(group.joules),
        currency=group.currency,
        cost_basis=group.cost_basis,
        boundary=group.boundary,
        energy_source=group.energy_source,
    )


def _interval(value: HostMean | None) -> Interval | None:
    """Return a mean with its interval: that of the profiles, widened by Student's t of the mean between hosts.

    The bounds of a profile are those of its sensors, and may err in the same direction on all hosts, so that hosts do
    not average them out. One host has no scatter between hosts. A figure without a bound of its own has none here.
    """
    if value is None:
        return None
    half = 0.0 if value.variance is None else t_quantile(value.hosts - 1) * math.sqrt(value.variance / value.hosts)
    lower = None if value.lower is None else min(value.mean, max(0.0, value.lower - half))
    return Interval(value.mean, lower, None if value.upper is None else max(value.mean, value.upper + half))
