"""The rows of the views of profiles, in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from command import ROOT
from store.reader import Reader
from store.records import Profile, Run, RunStatus
from store.writer import Writer
from trees import FIXTURES

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.records import Host

DOCUMENTS: list[dict[str, Any]] = [
    json.loads((ROOT / f"docs/{name}.example.json").read_text(encoding="utf-8")) for name in ("profile", "serving")
]


def store_documents(engine: Engine, host: Host) -> None:
    """Store two profiles of schema 2, the second one imported, and two that have no rows: of schema 1, and damaged."""
    old = (FIXTURES / "profiles/1.1.json").read_text(encoding="utf-8")
    programs = ("profile", "import", "profile", "profile")
    for program, document in zip(programs, [*map(json.dumps, DOCUMENTS), old, "[]]"], strict=True):
        writer = Writer(engine)
        writer.register(host, [], program, 1)
        name = json.loads(document)["id"] if document.startswith("{") else "damaged"
        writer.save_run(Run(name, host.id, writer.recording, "w", "{}", RunStatus.COMPLETE, 1, 2))
        writer.save_profile(Profile(name, name, 1_700_000_400 * 10**9, "transformer", document))


def assert_views(engine: Engine) -> None:
    """Assert that each row of both views has the values of its point."""
    with engine.connect() as connection:
        points = connection.execute(text("SELECT * FROM v_profile_points")).mappings().all()
        costs = connection.execute(text("SELECT * FROM v_costs")).mappings().all()
    expected = {(document["id"], point["name"]): point for document in DOCUMENTS for point in document["points"]}
    assert {(row["profile_id"], row["point"]) for row in points} == set(expected)
    assert len(points) == len(expected)
    for row in points:
        point = expected[row["profile_id"], row["point"]]
        joules = point["energy"]["joules_per_inference"]["total"]
        shown = (row["joules_per_inference"], row["joules_per_inference_lower"], row["joules_per_inference_upper"])
        assert shown == (joules["mean"], joules["lower"], joules["upper"])
        assert row["ttft_p50_seconds"] == point["time_to_first_token_seconds"]["p50"]
        assert row["requests"] == (point["serving"] and point["serving"]["requests"])
        assert (row["created_utc"], bool(row["valid"]), row["host"]) == ("2023-11-14 22:20:00", True, "vm")
        assert json.loads(row["parameters"]) == point["parameters"]
    assert {row["profile_id"]: row["origin"] for row in points} == {
        DOCUMENTS[0]["id"]: "measured",
        DOCUMENTS[1]["id"]: "imported",
    }
    imported = {profile.id for profile in Reader(engine).profiles() if profile.imported}
    assert imported == {DOCUMENTS[1]["id"]}
    assert len(costs) == len(expected) * 2 * 4
    for row in costs:
        basis = expected[row["profile_id"], row["point"]]["cost"][row["basis"]]
        assert row["utilization_ratio"] == basis["utilization"]
        energy, capital = basis[row["unit"]]["energy"], basis[row["unit"]]["capital"]
        if row["unit"] == "per_hour":
            assert (row["energy"], row["energy_lower"], row["total"]) == (energy, None, pytest.approx(energy + capital))
        else:
            assert (row["energy"], row["capital_upper"]) == (energy["mean"], capital["upper"])
            assert row["total_lower"] == pytest.approx(energy["lower"] + capital["lower"])
