"""Profiles of several hosts, and stores that have them."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from command import ROOT
from daemons import empty_store
from store.database import open_database
from store.records import Host, Profile, Run, RunStatus
from store.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

EXAMPLE: dict[str, Any] = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
START_NS = 1_700_000_000 * 10**9


def document_of(host: str, number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the profile `number` of a host: its id is `host-number`, and its time `number` hours after the first."""
    document = copy.deepcopy(EXAMPLE)
    document["id"] = f"{host}-{number}"
    document["host"] |= {"id": f"id-of-{host}", "name": host}
    seconds = START_NS // 10**9 + 3600 * number
    document["created"] = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return document | changes


def new_store(path: Path) -> Engine:
    """Return an empty store at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(empty_store())
    return open_database(str(path))


def measured(engine: Engine, *documents: dict[str, Any]) -> None:
    """Store documents as profiles that this store measured."""
    for document in documents:
        host = Host(document["host"]["id"], document["host"]["name"])
        at_ns = int(datetime.fromisoformat(document["created"]).timestamp()) * 10**9
        writer = Writer(engine)
        writer.register(host, [], "profile", at_ns)
        run = Run(document["id"], host.id, writer.recording, "transformer", "{}", RunStatus.COMPLETE, at_ns, at_ns)
        writer.save_run(run)
        writer.save_profile(Profile(run.id, run.id, at_ns, "transformer", json.dumps(document)))
