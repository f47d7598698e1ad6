"""The record of a point of a profile in numbers, and the columns of its table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Double, Index, Text, text

if TYPE_CHECKING:
    from collections.abc import Sequence

VALID = "valid"
MEASURED = "valid AND energy_source = 'measured' AND joules_per_unit > 1e-30 AND joules_per_unit < 1e30"
"""The conditions of rows with figures that count, and of those with energies that sensors measured.

Ratios of energies in this range are finite; PostgreSQL orders NaN and infinity above it.
"""
_ENDS = ("", "_lower", "_upper")
_FIGURES = [f"{name}{end}" for name in ("joules_per_unit", "cost_per_million_units") for end in _ENDS]
_TYPES: dict[str, Any] = {"str": Text, "int": BigInteger, "bool": Boolean, "float | None": Double}


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """One point of a profile as a row of numbers, for queries over many profiles; made by `store.profile_points`.

    `host_id` is the measured host's own id, also if the profile was imported. `hardware` describes its processors and
    accelerators; `site`, `rack` and `owner` are its labels, empty without one. `date` is the day of `created_ns` in
    UTC, `month` its month. `parameters` is a JSON object. `unit` is the unit of the work, an output token, or an
    inference without tokens; energies and costs are those of this unit. `work` is a digest of the model with its
    settings, parameters and unit, `setup` one of everything that siblings share: the work, the hardware, the engine and
    the sensors. `cost_group` is a digest of everything that figures share of which a mean has a meaning: the work, the
    hardware, the engine without its version, the boundary, the source, the currency and the basis. `cost_basis` is
    `allocation` or `usage`, with the part if a cost has only one; costs are in `currency`. The bounds of a figure
    end in `_lower` and `_upper`; None is unknown.
    """

    profile_id: str
    host_id: str
    host_name: str
    hardware: str
    site: str
    rack: str
    owner: str
    created_ns: int
    date: str
    month: str
    workload: str
    model: str
    precision: str
    engine: str
    engine_version: str
    inferometer_version: str
    schema_version: str
    point: str
    parameters: str
    unit: str
    work: int
    setup: int
    cost_group: int
    valid: bool
    repeats: int
    energy_source: str
    boundary: str
    currency: str
    cost_basis: str
    joules_per_unit: float | None = None
    joules_per_unit_lower: float | None = None
    joules_per_unit_upper: float | None = None
    output_tokens_per_second: float | None = None
    output_tokens_per_second_lower: float | None = None
    output_tokens_per_second_upper: float | None = None
    inferences_per_second: float | None = None
    inferences_per_second_lower: float | None = None
    inferences_per_second_upper: float | None = None
    watts: float | None = None
    watts_lower: float | None = None
    watts_upper: float | None = None
    cost_per_million_units: float | None = None
    cost_per_million_units_lower: float | None = None
    cost_per_million_units_upper: float | None = None


PROFILE_POINT_COLUMNS = tuple(field.name for field in fields(ProfilePoint))


def point_columns() -> list[Column[Any]]:
    """Return a column for each field of `ProfilePoint`, except for the id of the profile; a figure can be NULL."""
    return [
        Column(field.name, _TYPES[str(field.type)], nullable=field.type == "float | None")
        for field in fields(ProfilePoint)
        if field.name != "profile_id"
    ]


def point_range() -> CheckConstraint:
    """Return the range of the figures that views add and square: without it a row that overflows would stop a view."""
    return CheckConstraint(
        " AND ".join(f"({name} = 0 OR abs({name}) BETWEEN 1e-30 AND 1e30)" for name in _FIGURES),
        name="profile_points_range",
    )


def point_indexes() -> list[Index]:
    """Return the indexes of the views of a fleet: two from which PostgreSQL answers them alone, and one for one host.

    The two have their rows in the order in which a view groups them, and the figures that the view reads.
    """
    energies = ["created_ns", "joules_per_unit", "inferometer_version"]
    costs = ("cost_group", "host_id", "month", "site")
    return [
        _index("profile_points_energies", ("setup", "host_id", "date"), energies, MEASURED),
        _index("profile_points_costs", costs, _FIGURES, VALID),
        Index("profile_points_host_name", "host_name"),
    ]


def _index(name: str, columns: Sequence[str], figures: Sequence[str], condition: str) -> Index:
    where = text(condition)
    return Index(name, *columns, postgresql_include=figures, postgresql_where=where, sqlite_where=where)
