"""Profiles of several hosts, and stores that have them."""

from __future__ import annotations

import copy
import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from command import ROOT
from daemons import empty_store
from store.database import open_database
from store.records import Host, Profile, Run, RunStatus
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
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


def _of_huge_numbers(document: dict[str, Any]) -> None:
    document["points"][0]["repeats"] = 10**30


def _of_a_huge_figure(document: dict[str, Any]) -> None:
    document["points"][0]["inferences_per_second"] |= {"mean": 10**400, "upper": 10**400}


def _of_an_infinite_figure(document: dict[str, Any]) -> None:
    document["points"][0]["inferences_per_second"] |= {"upper": math.inf}


def _with_a_null_character(document: dict[str, Any]) -> None:
    document["notes"] = ["a\0b"]


def _with_half_a_character(document: dict[str, Any]) -> None:
    document["notes"] = ["\udc80"]


def _of_a_later_version(document: dict[str, Any]) -> None:
    document["schema_version"] = "99.0"


def _without_points(document: dict[str, Any]) -> None:
    del document["points"]


def _of_no_time(document: dict[str, Any]) -> None:
    document["created"] = "9999-12-31T23:59:59+00:00"


def _of_a_point_that_is_none(document: dict[str, Any]) -> None:
    document["points"] = ["point"]


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    change.__name__.strip("_"): change
    for change in (
        *(_of_huge_numbers, _of_a_huge_figure, _of_an_infinite_figure, _with_a_null_character, _with_half_a_character),
        *(
            _of_a_later_version,
            _without_points,
            _of_no_time,
            _of_a_point_that_is_none,
        ),
    )
}
"""Changes of a document after which it cannot be stored everywhere."""


def odd_text(host: str, number: int, change: str) -> str:
    """Return the JSON of an odd profile of a host."""
    document = document_of(host, number)
    ODD[change](document)
    return json.dumps(document).replace("Infinity", "1e999")
