"""Groups of machines from the sums that a database returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.fleet_records import CostGroup, HostMean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import RowMapping

_KEY = ("work", "per_token", "boundary", "energy_source", "currency", "cost_basis")
_SUMS = ("hosts", "profiles", *(f"{name}_{part}" for name in ("cost", "joules") for part in ("n", "s", "q")))


def merged(rows: Iterable[Mapping[str, Any] | RowMapping], dimensions: Sequence[str]) -> list[CostGroup]:
    """Return the groups of rows that differ in their setup alone, with the sums of the counts and of the moments."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        values = tuple(row[f"dimension_{name}"] for name in dimensions)
        own = found.setdefault(
            (values, *(row[name] for name in _KEY)), {**row, "values": values, **dict.fromkeys(_SUMS, 0)}
        )
        for name in _SUMS:
            own[name] += row[name] or 0
    return [_cost_group(row) for row in found.values()]


def _cost_group(row: Mapping[str, Any]) -> CostGroup:
    shared = (*(name for name in _KEY if name != "per_token"), "workload", "model", "precision", "point", "values")
    return CostGroup(
        **{name: row[name] for name in shared},
        per_token=bool(row["per_token"]),
        hosts=int(row["hosts"]),
        profiles=int(row["profiles"]),
        cost=_host_mean(row, "cost"),
        joules=_host_mean(row, "joules"),
    )


def _host_mean(row: Mapping[str, Any], name: str) -> HostMean | None:
    count = row[f"{name}_n"]
    if not count:
        return None
    mean = row[f"{name}_s"] / count
    return HostMean(count, mean, variance_of(row[f"{name}_q"], mean, count) if count > 1 else None)


def variance_of(squares: float, mean: float, count: int) -> float:
    """Return the sample variance from a sum of squares; rounding does not make it negative."""
    return max(0.0, squares - count * mean * mean) / (count - 1)
