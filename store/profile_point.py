"""The record of a point of a profile in numbers, and the columns of its table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Text

_TYPES: dict[str, Any] = {"str": Text, "int": BigInteger, "bool": Boolean, "float | None": Double}


@dataclass(frozen=True, slots=True)
class ProfilePoint:
    """One point of a profile as a row of numbers, for queries over many profiles; made by `store.profile_points`.

    `host_id` is the measured host's own id, also if the profile was imported. `hardware` describes its processors and
    accelerators; `site`, `rack` and `owner` are its labels, empty without one. `date` is the day of `created_ns` in
    UTC. `parameters` is a JSON object. `work` is a digest of the model with its settings and parameters, `setup` one of
    everything that siblings share: the work, the hardware, the engine and the sensors. `cost_basis` is `allocation` or
    `usage`, with the part if a cost has only one; costs are in `currency`. The bounds of a figure end in `_lower` and
    `_upper`; None is unknown.
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
    workload: str
    model: str
    precision: str
    engine: str
    engine_version: str
    inferometer_version: str
    schema_version: str
    point: str
    parameters: str
    work: int
    setup: int
    valid: bool
    repeats: int
    energy_source: str
    boundary: str
    currency: str
    cost_basis: str
    joules_per_output_token: float | None = None
    joules_per_output_token_lower: float | None = None
    joules_per_output_token_upper: float | None = None
    joules_per_inference: float | None = None
    joules_per_inference_lower: float | None = None
    joules_per_inference_upper: float | None = None
    output_tokens_per_second: float | None = None
    output_tokens_per_second_lower: float | None = None
    output_tokens_per_second_upper: float | None = None
    inferences_per_second: float | None = None
    inferences_per_second_lower: float | None = None
    inferences_per_second_upper: float | None = None
    watts: float | None = None
    watts_lower: float | None = None
    watts_upper: float | None = None
    cost_per_million_output_tokens: float | None = None
    cost_per_million_output_tokens_lower: float | None = None
    cost_per_million_output_tokens_upper: float | None = None
    cost_per_million_inferences: float | None = None
    cost_per_million_inferences_lower: float | None = None
    cost_per_million_inferences_upper: float | None = None


PROFILE_POINT_COLUMNS = tuple(field.name for field in fields(ProfilePoint))


def point_columns() -> list[Column[Any]]:
    """Return a column for each field of `ProfilePoint`, except for the id of the profile; a figure can be NULL."""
    return [
        Column(field.name, _TYPES[str(field.type)], nullable=field.type == "float | None")
        for field in fields(ProfilePoint)
        if field.name != "profile_id"
    ]
