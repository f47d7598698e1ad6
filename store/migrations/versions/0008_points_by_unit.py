"""The points of profiles with the figures of one unit of their work, and the indexes of the views of a fleet.

The rows are made from the stored documents by the code below, a copy of `store.profile_points` as it was at this
revision: a later change of that module must not change this migration. A migration that makes the rows again replaces
the copy.
"""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import sqlalchemy as sa
from alembic import op

from store.codec.checksums import checksum

revision = "0008"
down_revision = "0007"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXTS = (
    *("host_id", "host_name", "hardware", "site", "rack", "owner", "date", "month", "workload", "model", "precision"),
    *("engine", "engine_version", "inferometer_version", "schema_version", "point", "parameters", "unit"),
    *("energy_source", "boundary", "currency", "cost_basis"),
)
INTEGERS = ("created_ns", "work", "setup", "cost_group", "repeats")
FIGURES = (
    *("joules_per_unit", "output_tokens_per_second", "inferences_per_second", "watts"),
    "cost_per_million_units",
)
ENDS = {"": "mean", "_lower": "lower", "_upper": "upper"}
LEAST, MOST = 1e-30, 1e30
LONGEST_TEXT = 200
ACCELERATORS = ("gpu", "npu", "fpga", "accelerator")
NOT_IN_WORK = frozenset({"url", "seed", "workload", "provider", "device", "threads", "model", "precision"})
IN_COST_GROUP = (
    *("workload", "model", "precision", "unit", "hardware", "engine"),
    *("boundary", "energy_source", "currency", "cost_basis"),
)
TOKEN, INFERENCE = "output token", "inference"
Json = dict[str, Any]


def upgrade() -> None:
    op.drop_table("profile_points")
    figures = [f"{name}{end}" for name in ("joules_per_unit", "cost_per_million_units") for end in ENDS]
    finite = " AND ".join(f"({name} = 0 OR abs({name}) BETWEEN 1e-30 AND 1e30)" for name in figures)
    table = op.create_table(
        "profile_points",
        sa.Column("id", row_id, nullable=False),
        sa.Column("profile_id", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in INTEGERS),
        sa.Column("valid", sa.Boolean(), nullable=False),
        *(sa.Column(f"{name}{end}", sa.Double(), nullable=True) for name in FIGURES for end in ENDS),
        sa.Column("checksum", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(finite, name="profile_points_range"),
    )
    fill(op.get_bind(), table)
    op.create_index("profile_points_profile", "profile_points", ["profile_id"])
    op.create_index("profile_points_host_name", "profile_points", ["host_name"])
    keys = ["cost_group", "host_id", "month", "site"]
    index(
        "profile_points_energies",
        ["setup", "host_id", "date"],
        ["created_ns", "joules_per_unit", "inferometer_version"],
        "valid AND energy_source = 'measured' AND joules_per_unit > 1e-30 AND joules_per_unit < 1e30",
    )
    index("profile_points_costs", keys, figures, "valid")


def index(name: str, columns: list[str], figures: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(
        name, "profile_points", columns, postgresql_include=figures, postgresql_where=where, sqlite_where=where
    )


def fill(connection: sa.Connection, table: sa.Table) -> None:
    """Add the points of the stored profiles, one document in memory at a time."""
    profiles = sa.table("profiles", sa.column("id"), sa.column("created_ns"), sa.column("document"))
    for (name,) in connection.execute(sa.select(profiles.c.id)).all():
        row = connection.execute(sa.select(profiles).where(profiles.c.id == name)).one()
        if isinstance(row.document, str) and isinstance(row.created_ns, int):
            found = [sealed(table, {"profile_id": row.id, **each}) for each in points(row.created_ns, row.document)]
            if found:
                connection.execute(sa.insert(table), found)


def sealed(table: sa.Table, row: Json) -> Json:
    """Return a row as the store has it: without invalid Unicode and NULs, with its checksum."""
    texts = {name: plain(value) if isinstance(value, str) else value for name, value in row.items()}
    return {**texts, "checksum": checksum(table, texts)}


def plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def points(created_ns: int, text: str) -> list[Json]:
    """Return the rows of a document; none if it is not a profile of schema 2."""
    try:
        document = json.loads(text)
        if not document["schema_version"].startswith("2."):
            return []
        facts = shared(document, created_ns)
        return [row_of(document, each, facts) for each in document["points"]]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError):
        return []


def shared(document: Json, created_ns: int) -> Json:
    """Return the columns that are equal for all points of a document."""
    host, engine, date = document["host"], document["engine"], datetime.fromtimestamp(created_ns // 10**9, UTC).date()
    labels = host.get("labels") or {}
    return {
        "host_id": host["id"],
        "host_name": host["name"],
        "hardware": hardware(document),
        **{name: labels.get(name, "") for name in ("site", "rack", "owner")},
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


def hardware(document: Json) -> str:
    host, devices = document["host"], document["devices"]
    packages = [each for each in devices if each["kind"] == "cpu"]
    name = host["cpu_model"] or next((each["name"] for each in packages if each["name"]), "unknown processor")
    if host["virtual"]:
        processors = f"{host['logical_cpus'] or '?'} virtual CPUs of {name}"
    else:
        processors = f"{max(1, len(packages))}x {name}"
    named = Counter((each["kind"], each["name"]) for each in devices if each["name"] and each["kind"] != "cpu")
    found = [
        f"{count}x {name}"
        for kind in ACCELERATORS
        for (own, name), count in sorted(named.items(), key=lambda each: each[0])
        if own == kind
    ]
    return " + ".join((processors, *found))[:LONGEST_TEXT]


def row_of(document: Json, point: Json, facts: Json) -> Json:
    workload, own = document["workload"], point.get("model") or {}
    count = own.get("parameter_count") or workload["parameter_count"]
    named = point["parameters"].get("model") or workload["settings"].get("model")
    weights = workload["name"] if count is None else f"{workload['name']} of {count / 1e6:.3g} M weights"
    model = PurePath(str(named)).name if named else weights
    precision = own.get("precision") or workload["precision"] or ""
    unit = INFERENCE if point["output_tokens_per_second"] is None else TOKEN
    work = work_of(document, point, model, precision, unit)
    cost, basis = cost_of(point["cost"], unit)
    texts = {**facts, "model": model, "precision": precision, "point": point["name"], "unit": unit}
    texts |= {"currency": (point["cost"] or {}).get("currency") or "", "cost_basis": basis}
    cut = {name: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in texts.items()}
    return {
        **cut,
        "parameters": json.dumps(point["parameters"], sort_keys=True, separators=(",", ":")),
        "work": work,
        "setup": setup_of(document, work, facts["hardware"]),
        "cost_group": digest(work, *(cut[name] for name in IN_COST_GROUP)),
        "valid": point["valid"],
        "repeats": whole(point["repeats"]),
        **ends("joules_per_unit", energy_of(point["energy"], unit)),
        **ends("output_tokens_per_second", point["output_tokens_per_second"]),
        **ends("inferences_per_second", point["inferences_per_second"]),
        **ends("watts", point["power"] and point["power"]["mean_watts"]),
        **ends("cost_per_million_units", cost),
    }


def ends(name: str, value: Json | None) -> Json:
    found: Json = {f"{name}{end}": value and value[key] for end, key in ENDS.items()}
    return {name: float(each) if each is not None and in_range(each) else None for name, each in found.items()}


def in_range(number: float) -> bool:
    return number == 0 or LEAST <= abs(number) <= MOST


def whole(number: int) -> int:
    if abs(number) >= 1 << 63:
        raise OverflowError("a whole number has more than 64 bits")
    return number


def energy_of(energy: Json | None, unit: str) -> Json | None:
    if energy is None:
        return None
    per_inference = energy.get("joules_per_inference") or {}
    found: Json | None = energy.get("joules_per_output_token") if unit == TOKEN else per_inference.get("total")
    return found


def work_of(document: Json, point: Json, model: str, precision: str, unit: str) -> int:
    workload = document["workload"]
    settings = {
        name: value
        for name, value in {**workload["settings"], **point["parameters"]}.items()
        if value is not None and name not in NOT_IN_WORK
    }
    return digest(workload["name"], model, workload["model_sha256"], precision, settings, unit)


def setup_of(document: Json, work: int, hardware: str) -> int:
    engine, coverage = document["engine"], document["coverage"]
    kinds = {each["id"]: each["kind"] for each in document["devices"]}
    return digest(
        work,
        hardware,
        document["host"]["logical_cpus"],
        *(engine[name] for name in ("name", "version", "provider", "threads")),
        coverage["boundary"],
        coverage["source"],
        sorted(f"{kinds.get(each['device'])}/{each['domain']}" for each in coverage["includes"]),
    )


def digest(*facts: object) -> int:
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
    return int.from_bytes(found[:8], "big", signed=True)


def cost_of(cost: Json | None, unit: str) -> tuple[Json | None, str]:
    basis = next((each for each in ("allocation", "usage") if cost and cost[each]), "")
    if not cost or not basis:
        return None, ""
    inference, tokens = cost[basis]["per_inference"], cost[basis]["per_million_output_tokens"]
    parts = [part for part in ("energy", "capital") if inference[part]]
    named = basis if len(parts) > 1 else f"{basis}, {parts[0]} alone" if parts else ""
    if unit == TOKEN:
        return (total([tokens[part] for part in parts], 1.0) if tokens else None), named
    return total([inference[part] for part in parts], 1e6), named


def total(amounts: list[Json], factor: float) -> Json | None:
    if not amounts:
        return None
    values = {end: [each[end] for each in amounts] for end in ENDS.values()}
    return {end: None if None in own else factor * sum(own) for end, own in values.items()}
