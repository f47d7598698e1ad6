"""The query of the costs of machines: sums of hosts by group, of which each host counts once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Float, case, cast, func, literal, or_, select, text, union_all

from store.fleet_filter import DIMENSIONS, FIXED_DIMENSIONS
from store.profile_point import VALID
from store.schema import profile_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import CTE, Select

ANONYMOUS = "anonymous-%"
"""The ids of hosts of anonymized profiles: each profile has one of its own, so that its machine is unknown."""
FACTS = (
    *("work", "workload", "model", "precision", "point", "unit"),
    "boundary",
    "energy_source",
    "currency",
    "cost_basis",
)
_KINDS = tuple(name for name in FACTS if name != "point")
"""The facts of which groups with different ones are never merged: all rows of a cost group have the same."""
_FIGURES = {"cost": "cost_per_million_units", "joules": "joules_per_unit"}
_INFINITE = literal(math.inf, Float)
_p = profile_points.c


def costs_of(condition: ColumnElement[bool], dimensions: Sequence[str]) -> Select[Any]:
    """Return a row for each group of machines: the number of hosts, and for each figure its count, sum and squares.

    The squares are those of the means of the hosts; the sums of their bounds (`_lower`, `_upper`) are infinite if a
    profile has none. Rows of one cost group are summed in the order of an index. A host can be in several cost groups
    of one kind if the dimensions do not separate their hardware or engines: only there its sums are merged, and those
    of all anonymous profiles, which may be of one machine.
    """
    varying = [name for name in dimensions if name not in FIXED_DIMENSIONS]
    hosts = _sums(condition, varying).cte("hosts")
    groups = _groups(hosts, [name for name in dimensions if name in FIXED_DIMENSIONS])
    joined = select(groups.c.kind, hosts).join_from(hosts, groups, groups.c.cost_group == hosts.c.cost_group)
    merges = or_(groups.c.parts > 1, hosts.c.host_id.like(ANONYMOUS))
    names = [f"dimension_{name}" for name in varying]
    values = [f"{name}_{part}" for name in _FIGURES for part in ("n", "s", "l", "u")]
    alone = joined.where(~merges).subquery()
    merging = joined.where(merges).subquery()
    host = case((merging.c.host_id.like(ANONYMOUS), ANONYMOUS), else_=merging.c.host_id)
    keys = [merging.c.kind, *(merging.c[name] for name in names)]
    own = union_all(
        select(*(alone.c[name] for name in ("kind", *names, "profiles", *values))),
        select(*keys, *(func.sum(merging.c[name]).label(name) for name in ("profiles", *values))).group_by(*keys, host),
    ).subquery()
    found = _between_hosts(own, names).subquery()
    facts = [_p[name] for name in FACTS]
    fixed = [DIMENSIONS[name].label(f"dimension_{name}") for name in dimensions if name in FIXED_DIMENSIONS]
    examples = select(groups.c.kind, func.min(groups.c.example).label("example")).group_by(groups.c.kind).subquery()
    return (
        select(found, *facts, *fixed)
        .join_from(found, examples, examples.c.kind == found.c.kind)
        .join(profile_points, _p.id == examples.c.example)
    )


def _sums(condition: ColumnElement[bool], varying: Sequence[str]) -> Select[Any]:
    """Return the sums of each host in each cost group; keys in the order of the index `profile_points_costs`."""
    ordered = sorted(varying, key=lambda name: ("month", "site").index(name) if name in {"month", "site"} else 2)
    keys = [_p.cost_group, _p.host_id, *(DIMENSIONS[name].label(f"dimension_{name}") for name in ordered)]
    figures = [each for name, column in _FIGURES.items() for each in _sum(name, _p[column])]
    return (
        select(*keys, number().label("profiles"), *figures)
        .where(text(VALID), condition)
        .group_by(_p.cost_group, _p.host_id, *(DIMENSIONS[name] for name in ordered))
    )


def _sum(name: str, column: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return the count, the sum, and the sums of the bounds of a figure."""
    lower, upper = _p[f"{_FIGURES[name]}_lower"], _p[f"{_FIGURES[name]}_upper"]
    return [
        number(column).label(f"{name}_n"),
        func.sum(column).label(f"{name}_s"),
        func.sum(func.coalesce(lower, column - _INFINITE)).label(f"{name}_l"),
        func.sum(func.coalesce(upper, column + _INFINITE)).label(f"{name}_u"),
    ]


def number(*columns: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a count as a float: PostgreSQL divides by those, and adds them, in a third of the time."""
    return cast(func.count(*columns), Float)


def _groups(hosts: CTE, fixed: Sequence[str]) -> CTE:
    """Return each cost group with a row of it (`example`), its kind, and the number of groups of its kind (`parts`)."""
    q = profile_points.alias("q")
    different = select(hosts.c.cost_group).distinct().subquery()
    one = select(q.c.id).where(text(VALID), q.c.cost_group == different.c.cost_group).limit(1).scalar_subquery()
    examples = select(different.c.cost_group, one.label("example")).subquery()
    kinds = [*(_p[name] for name in _KINDS), *(DIMENSIONS[name] for name in fixed)]
    return (
        select(
            examples,
            func.min(examples.c.cost_group).over(partition_by=kinds).label("kind"),
            func.count().over(partition_by=kinds).label("parts"),
        )
        .join_from(examples, profile_points, _p.id == examples.c.example)
        .cte("groups")
    )


def _between_hosts(own: Any, names: Sequence[str]) -> Select[Any]:
    """Return the sums over the means of hosts."""
    keys = [own.c.kind, *(own.c[name] for name in names)]
    sums: list[ColumnElement[Any]] = []
    for name in _FIGURES:
        count = func.nullif(own.c[f"{name}_n"], 0.0, type_=Float)
        mean = own.c[f"{name}_s"] / count
        sums += [
            func.count(mean).label(f"{name}_n"),
            func.sum(mean).label(f"{name}_s"),
            func.sum(mean * mean).label(f"{name}_q"),
            func.sum(own.c[f"{name}_l"] / count).label(f"{name}_l"),
            func.sum(own.c[f"{name}_u"] / count).label(f"{name}_u"),
        ]
    counts = func.count().label("hosts"), func.sum(own.c.profiles).label("profiles")
    return select(*keys, *counts, *sums).group_by(*keys)
