"""Groups of machines from the sums that a database returns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from store.fleet_costs import FACTS
from store.fleet_records import CostGroup, HostMean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import RowMapping


def cost_group(row: Mapping[str, Any] | RowMapping, dimensions: Sequence[str]) -> CostGroup:
    """Return the group of a row of `store.fleet_costs`."""
    return CostGroup(
        **{name: row[name] for name in FACTS},
        values=tuple(row[f"dimension_{name}"] for name in dimensions),
        hosts=int(row["hosts"]),
        profiles=int(row["profiles"]),
        cost=_host_mean(row, "cost"),
        joules=_host_mean(row, "joules"),
    )


def _host_mean(row: Mapping[str, Any] | RowMapping, name: str) -> HostMean | None:
    count = row[f"{name}_n"]
    if not count or not math.isfinite(row[f"{name}_q"]):  # a login can store any number
        return None
    mean = row[f"{name}_s"] / count
    variance = variance_of(row[f"{name}_q"], mean, count) if count > 1 else None
    return HostMean(count, mean, variance, *(_bound(row[f"{name}_{end}"] / count) for end in "lu"))


def _bound(mean: float) -> float | None:
    return mean if math.isfinite(mean) else None


def variance_of(squares: float, mean: float, count: int) -> float:
    """Return the sample variance from a sum of squares; rounding does not make it negative."""
    return max(0.0, squares - count * mean * mean) / (count - 1)
