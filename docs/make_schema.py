"""Writes docs/profile.schema.json from the records of agent/profiling/records.py; `make schema` runs it."""

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from agent.profiling.records import SCHEMA_VERSION, Document


def made() -> str:
    """Return the schema's text: every object closed, every field required, no generated titles."""
    parts = msgspec.json.schema(Document)["$defs"]
    for part in parts.values():
        _tidy(part)
    document = parts.pop(Document.__name__)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:inferometer:profile:{SCHEMA_VERSION}",
        "title": "Inferometer profile",
    }
    return json.dumps({**head, **document, "$defs": dict(sorted(parts.items()))}, indent=2) + "\n"


def _tidy(part: dict[str, Any]) -> None:
    part.pop("title", None)
    part["description"] = cleandoc(part["description"])
    for field in part.get("properties", {}).values():
        field.pop("default", None)
    if "properties" in part:
        part["required"] = list(part["properties"])


if __name__ == "__main__":
    Path(__file__).with_name("profile.schema.json").write_text(made(), encoding="utf-8")
