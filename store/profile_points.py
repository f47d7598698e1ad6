"""Makes the rows of `profile_points` from the documents of profiles."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert

from store import schema
from store.model_name import model_name
from store.profile_point import ProfilePoint
from store.rows import stored_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

_Json = dict[str, Any]
_SCHEMA = "2."
"""The beginning of the schema versions whose documents have rows."""
_LONGEST_TEXT = 200
"""The characters of a text that a row has, of a document that may be of a stranger."""
_CPU = "cpu"
_ACCELERATORS = ("gpu", "npu", "fpga", "accelerator")
_NOT_IN_WORK = frozenset({"url", "seed", "workload", "provider", "device", "threads", "model", "precision"})
"""The settings that make no difference to the figures, or that are facts under another name."""
_IN_COST_GROUP = (
    *("workload", "model", "precision", "unit", "hardware", "engine"),
    *("boundary", "energy_source", "currency", "cost_basis"),
)
"""The texts of the digest `cost_group` as a row has them; the policy of a fleet's database computes it from them."""
_MILLION = 1e6
TOKEN, INFERENCE = "output token", "inference"
_LEAST, _MOST = 1e-30, 1e30
"""The range of figures other than 0, in which no view overflows (`store.profile_point.point_range`)."""


def replace_points(connection: Connection, profile_id: str, created_ns: int, text: str) -> None:
    """Store the points of a profile in place of those that it has."""
    connection.execute(delete(schema.profile_points).where(schema.profile_points.c.profile_id == profile_id))
    rows = [stored_row(schema.profile_points, asdict(point)) for point in points_of_text(profile_id, created_ns, text)]
    if rows:
        connection.execute(insert(schema.profile_points), rows)


def points_of_text(profile_id: str, created_ns: int, text: str) -> tuple[ProfilePoint, ...]:
    """Return the points of a document as JSON text; none if it is not a profile of schema 2."""
    try:
        document = json.loads(text)
        return points_of(document, profile_id, created_ns)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError):
        return ()


def points_of(document: _Json, profile_id: str, created_ns: int) -> tuple[ProfilePoint, ...]:
    """Return a row for each point of a document; none for one of schema 1.

    The document has the fields of docs/profile.schema.json. Raises KeyError or TypeError if it does not, and
    OverflowError for a number that no row can hold.
    """
    if not document["schema_version"].startswith(_SCHEMA):
        return ()
    host, engine, date = document["host"], document["engine"], datetime.fromtimestamp(created_ns // 10**9, UTC).date()
    labels, hardware = host.get("labels") or {}, hardware_of(document)
    shared = {
        "profile_id": profile_id,
        "host_id": host["id"],
        "host_name": host["name"],
        "hardware": hardware,
        "site": labels.get("site", ""),
        "rack": labels.get("rack", ""),
        "owner": labels.get("owner", ""),
        "created_ns": created_ns,
        "date": date.isoformat(),
        "month": f"{date:%Y-%m}",
        "workload": document["workload"]["name"],
        "engine": engine["name"],
        "engine_version": engine["version"],
        "inferometer_version": document["inferometer_version"],
        "schema_version": document["schema_version"],
        "energy_source": document["coverage"]["source"] or "",
        "boundary": document["coverage"]["boundary"],
    }
    return tuple(_point(document, each, shared) for each in document["points"])


def hardware_of(document: _Json) -> str:
    """Return the processors and the accelerators of a host: `2x AMD EPYC 9654 + 8x NVIDIA H100`."""
    host, devices = document["host"], document["devices"]
    packages = [each for each in devices if each["kind"] == _CPU]
    name = host["cpu_model"] or next((each["name"] for each in packages if each["name"]), "unknown processor")
    if host["virtual"]:
        processors = f"{host['logical_cpus'] or '?'} virtual CPUs of {name}"
    else:
        processors = f"{max(1, len(packages))}x {name}"
    named = Counter((each["kind"], each["name"]) for each in devices if each["name"] and each["kind"] != _CPU)
    found = [
        f"{count}x {name}"
        for kind in _ACCELERATORS
        for (own, name), count in sorted(named.items(), key=lambda each: each[0])
        if own == kind
    ]
    return " + ".join((processors, *found))[:_LONGEST_TEXT]


def _point(document: _Json, point: _Json, shared: Mapping[str, Any]) -> ProfilePoint:
    workload, own = document["workload"], point.get("model") or {}
    settings = workload["settings"]
    count = own.get("parameter_count") or workload["parameter_count"]
    model = model_name(workload["name"], point["parameters"].get("model") or settings.get("model"), count)
    precision = own.get("precision") or workload["precision"] or ""
    unit = INFERENCE if point["output_tokens_per_second"] is None else TOKEN
    cost, basis = _cost(point["cost"], unit)
    work = _work(document, point, model, precision, unit)
    figures: dict[str, _Json | None] = {
        "joules_per_unit": _energy(point["energy"], unit),
        "output_tokens_per_second": point["output_tokens_per_second"],
        "inferences_per_second": point["inferences_per_second"],
        "watts": point["power"] and point["power"]["mean_watts"],
        "cost_per_million_units": cost,
    }
    texts: _Json = {**shared, "model": model, "precision": precision, "point": point["name"], "cost_basis": basis}
    texts |= {"unit": unit, "currency": (point["cost"] or {}).get("currency") or ""}
    cut: _Json = {name: value[:_LONGEST_TEXT] if isinstance(value, str) else value for name, value in texts.items()}
    return ProfilePoint(
        **cut,
        parameters=json.dumps(point["parameters"], sort_keys=True, separators=(",", ":")),
        work=work,
        setup=_setup(document, work, shared["hardware"]),
        cost_group=_digest(work, *(cut[name] for name in _IN_COST_GROUP)),
        valid=point["valid"],
        repeats=_whole(point["repeats"]),
        **_columns(figures),
    )


def _columns(figures: Mapping[str, _Json | None]) -> _Json:
    """Return the columns of figures: the mean and both bounds of each. A number out of range is unknown."""
    ends = {"": "mean", "_lower": "lower", "_upper": "upper"}
    found: _Json = {
        f"{name}{end}": value and value[key] for name, value in figures.items() for end, key in ends.items()
    }
    return {name: float(own) if own is not None and _in_range(own) else None for name, own in found.items()}


def _in_range(number: float) -> bool:
    return number == 0 or _LEAST <= abs(number) <= _MOST


def _whole(number: int) -> int:
    """Return a whole number. Raises OverflowError if a column cannot hold it."""
    if abs(number) >= 1 << 63:
        raise OverflowError("a whole number has more than 64 bits")
    return number


def _energy(energy: _Json | None, unit: str) -> _Json | None:
    """Return the energy of a unit. It is unknown for tokens without one: that of an inference is another quantity."""
    if energy is None:
        return None
    per_inference: _Json = energy.get("joules_per_inference") or {}
    return energy.get("joules_per_output_token") if unit == TOKEN else per_inference.get("total")


def _work(document: _Json, point: _Json, model: str, precision: str, unit: str) -> int:
    """Return the digest of the work of a point: the model, its precision, the settings, the parameters and the unit."""
    workload = document["workload"]
    settings = {
        name: value
        for name, value in {**workload["settings"], **point["parameters"]}.items()
        if value is not None and name not in _NOT_IN_WORK
    }
    return _digest(workload["name"], model, workload["model_sha256"], precision, settings, unit)


def _setup(document: _Json, work: int, hardware: str) -> int:
    """Return the digest of a setup: the work, the hardware, the engine with its version, and the kinds of sensors."""
    engine, coverage = document["engine"], document["coverage"]
    kinds = {each["id"]: each["kind"] for each in document["devices"]}
    return _digest(
        work,
        hardware,
        document["host"]["logical_cpus"],
        *(engine[name] for name in ("name", "version", "provider", "threads")),
        coverage["boundary"],
        coverage["source"],
        sorted(f"{kinds.get(each['device'])}/{each['domain']}" for each in coverage["includes"]),
    )


def _digest(*facts: object) -> int:
    """Return the first 64 bits of the SHA-256 of facts as a signed number."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _cost(cost: _Json | None, unit: str) -> tuple[_Json | None, str]:
    """Return the cost of a million units, and its basis: the allocation, else the usage.

    A cost without one of its parts is that of the other part.
    """
    basis = next((each for each in ("allocation", "usage") if cost and cost[each]), "")
    if not cost or not basis:
        return None, ""
    inference, tokens = cost[basis]["per_inference"], cost[basis]["per_million_output_tokens"]
    parts = [part for part in ("energy", "capital") if inference[part]]
    named = basis if len(parts) > 1 else f"{basis}, {parts[0]} alone" if parts else ""
    if unit == TOKEN:
        return (_sum((tokens[part] for part in parts), 1.0) if tokens else None), named
    return _sum((inference[part] for part in parts), _MILLION), named


def _sum(amounts: Iterable[_Json], factor: float) -> _Json | None:
    """Return the sum of amounts times a factor; a bound is None if an amount lacks it."""
    found = list(amounts)
    if not found:
        return None
    ends = {end: [each[end] for each in found] for end in ("mean", "lower", "upper")}
    return {end: None if None in values else factor * sum(values) for end, values in ends.items()}
