"""The views of profiles for BI tools: one row for each point, and one for each cost of a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.records import IMPORTER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BASES = ("usage", "allocation")
_UNITS = ("per_hour", "per_inference", "per_million_output_tokens", "per_million_total_tokens")
_LATENCIES = {"latency": "latency", "ttft": "time_to_first_token", "itl": "inter_token_latency"}
_UTC = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', profiles.created_ns / 1000000000, 'unixepoch')",
    "postgresql": "to_char(to_timestamp(profiles.created_ns / 1000000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
}
_DOCUMENT = {
    "sqlite": "CASE WHEN json_valid(profiles.document) THEN profiles.document ELSE '{}' END",
    "postgresql": "CASE WHEN profiles.document LIKE '{%' THEN profiles.document ELSE '{}' END::json",
}
"""The document, an empty one in place of a damaged one, with which a query would fail."""
_EACH_POINT = {
    "sqlite": "json_each(documents.document, '$.points') AS points",
    "postgresql": "LATERAL json_array_elements(documents.document -> 'points') AS points(value)",
}
_Column = tuple[str, str, str]
"""The name of a column, the path of its value in JSON, and its type in PostgreSQL."""
_TEXT, _NUMBER, _TRUTH = "text", "double precision", "boolean"


def _bounds(name: str, path: str) -> Iterator[_Column]:
    yield name, f"{path}.mean", _NUMBER
    yield f"{name}_lower", f"{path}.lower", _NUMBER
    yield f"{name}_upper", f"{path}.upper", _NUMBER


_OF_DOCUMENT: tuple[_Column, ...] = (
    ("host", "host.name", _TEXT),
    ("model", "workload.settings.model", _TEXT),
    ("precision", "workload.precision", _TEXT),
    ("engine", "engine.name", _TEXT),
    ("engine_version", "engine.version", _TEXT),
    ("energy_boundary", "coverage.boundary", _TEXT),
    ("energy_source", "coverage.source", _TEXT),
)
_OF_POINT: tuple[_Column, ...] = (
    ("point", "name", _TEXT),
    ("parameters", "parameters", _TEXT),
    ("valid", "valid", _TRUTH),
    ("repeats", "repeats", _NUMBER),
    *_bounds("inferences_per_second", "inferences_per_second"),
    ("input_tokens_per_second", "input_tokens_per_second.mean", _NUMBER),
    ("output_tokens_per_second", "output_tokens_per_second.mean", _NUMBER),
    ("latency_mean_seconds", "mean_latency_seconds.mean", _NUMBER),
    *(
        (f"{short}_{part}_seconds", f"{name}_seconds.{part}", _NUMBER)
        for short, name in _LATENCIES.items()
        for part in ("p50", "p90", "p99")
    ),
    ("requests", "serving.requests", _NUMBER),
    ("goodput_per_second", "serving.goodput.requests_per_second", _NUMBER),
    ("attained_ratio", "serving.goodput.attained", _NUMBER),
    *_bounds("joules_per_inference", "energy.joules_per_inference.total"),
    *_bounds("joules_per_input_token", "energy.joules_per_input_token"),
    *_bounds("joules_per_output_token", "energy.joules_per_output_token"),
    *_bounds("joules_per_total_token", "energy.joules_per_total_token"),
    ("estimated_ratio", "energy.estimated_share", _NUMBER),
    *_bounds("watts", "power.mean_watts"),
    ("peak_watts", "power.peak_watts", _NUMBER),
)


def views_of_profiles(backend: str) -> dict[str, str]:
    """Return the statements that create the views, by name; `backend` is sqlite or postgresql."""
    return {"v_profile_points": _points(backend), "v_costs": _costs(backend)}


def _points(backend: str) -> str:
    return f"""
CREATE VIEW v_profile_points AS
SELECT documents.profile_id, documents.tag, documents.created_utc, documents.origin, documents.workload,
  {_selected(backend, "documents.document", _OF_DOCUMENT)},
  {_selected(backend, "points.value", _OF_POINT)}
{_rows(backend)}
"""


def _costs(backend: str) -> str:
    """Return the view of costs: a total needs both of its parts; the cost of an hour has no bounds."""
    totals = ",\n  ".join(f"energy{end} + capital{end} AS total{end}" for end in ("", "_lower", "_upper"))
    shared = ("host", "host.name", _TEXT), ("model", "workload.settings.model", _TEXT)
    own = ("point", "name", _TEXT), ("valid", "valid", _TRUTH), ("currency", "cost.currency", _TEXT)
    amounts = ",\n    ".join(_amount(backend, part, end) for part in ("energy", "capital") for end in _ENDS)
    choices = " UNION ALL ".join(f"SELECT '{basis}' AS basis, '{unit}' AS unit" for basis in _BASES for unit in _UNITS)
    utilization = _at(backend, "points.value", "cost.{basis}.utilization")
    return f"""
CREATE VIEW v_costs AS
SELECT amounts.*,
  {totals}
FROM (
  SELECT documents.profile_id, documents.tag, documents.created_utc, documents.origin, documents.workload,
    {_selected(backend, "documents.document", shared)},
    {_selected(backend, "points.value", own)},
    choices.basis, choices.unit, {utilization} AS utilization_ratio,
    {amounts}
  {_rows(backend, f"CROSS JOIN ({choices}) AS choices")}
) AS amounts
WHERE energy IS NOT NULL OR capital IS NOT NULL
"""  # noqa: S608  the words in it are those above


_ENDS = {"": "mean", "_lower": "lower", "_upper": "upper"}


def _amount(backend: str, part: str, end: str) -> str:
    """Return the column of one part of a cost, which is a plain number for an hour."""
    amount = _at(backend, "points.value", f"cost.{{basis}}.{{unit}}.{part}.{_ENDS[end]}")
    if not end:
        hourly = _at(backend, "points.value", f"cost.{{basis}}.{{unit}}.{part}")
        amount = f"CASE choices.unit WHEN 'per_hour' THEN {hourly} ELSE {amount} END"
    return f"{amount} AS {part}{end}"


def _at(backend: str, record: str, path: str) -> str:
    """Return the expression of a number at a path that contains the basis and the unit of the row."""
    if backend == "sqlite":
        quoted = path.replace("{basis}", "' || choices.basis || '").replace("{unit}", "' || choices.unit || '")
        return f"json_extract({record}, '$.{quoted}')"
    names = {"{basis}": "choices.basis", "{unit}": "choices.unit"}
    parts = ", ".join(names.get(each, f"'{each}'") for each in path.split("."))
    return f"({record} #>> ARRAY[{parts}])::{_NUMBER}"


def _selected(backend: str, record: str, columns: Sequence[_Column]) -> str:
    return ",\n  ".join(f"{_value(backend, record, path, kind)} AS {name}" for name, path, kind in columns)


def _value(backend: str, record: str, path: str, kind: str) -> str:
    if backend == "sqlite":
        return f"json_extract({record}, '$.{path}')"
    return f"({record} #>> '{{{path.replace('.', ',')}}}')::{kind}"


def _rows(backend: str, joined: str = "") -> str:
    """Return the FROM and WHERE of a row for each point of a document of schema 2."""
    version = _value(backend, "documents.document", "schema_version", _TEXT)
    return f"""FROM (
    SELECT profiles.id AS profile_id, profiles.tag, {_UTC[backend]} AS created_utc, profiles.workload,
      CASE recordings.program WHEN '{IMPORTER}' THEN 'imported' ELSE 'measured' END AS origin,
      {_DOCUMENT[backend]} AS document
    FROM profiles
    JOIN runs ON runs.id = profiles.run_id
    JOIN recordings ON recordings.id = runs.recording_id
  ) AS documents
  CROSS JOIN {_EACH_POINT[backend]}
  {joined}
  WHERE {version} LIKE '2.%'"""  # noqa: S608  the words in it are those above
