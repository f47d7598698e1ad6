"""The points of a query over many hosts, and the properties that group them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, true

from store.schema import profile_points

if TYPE_CHECKING:
    from collections.abc import Mapping

_p = profile_points.c
DIMENSIONS: Mapping[str, ColumnElement[str]] = {
    "hardware": _p.hardware,
    "engine": _p.engine,
    "site": _p.site,
    "rack": _p.rack,
    "owner": _p.owner,
    "host": _p.host_name,
    "month": _p.month,
    "day": _p.date,
}
"""The properties by which costs are grouped."""
FIXED_DIMENSIONS = frozenset({"hardware", "engine"})
"""Those that are the same for all points of a cost group."""
FILTERS: Mapping[str, ColumnElement[str]] = {
    **{name: column for name, column in DIMENSIONS.items() if name not in {"month", "day"}},
    **{name: profile_points.c[name] for name in ("workload", "model", "precision", "point", "currency")},
}
"""The properties of which a query can require a value."""


@dataclass(frozen=True, slots=True)
class PointFilter:
    """The points of a query: those of profiles made since a moment, with these values of FILTERS."""

    since_ns: int = 0
    values: tuple[tuple[str, str], ...] = ()

    def condition(self) -> ColumnElement[bool]:
        """Return the condition of a row."""
        since = _p.created_ns >= self.since_ns if self.since_ns else true()
        return and_(since, *(FILTERS[name] == value for name, value in self.values))
