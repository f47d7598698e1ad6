"""Writes docs/profile.schema.json from the records of agent/profiling/records.py; `make schema` runs it."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent.profiling.records import SCHEMA_VERSION, Document


def made() -> str:
    """Return the schema's text: every object closed, every field required, no generated titles."""
    schema = TypeAdapter(Document).json_schema()
    for part in (schema, *schema["$defs"].values()):
        _tidy(part)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:inferometer:profile:{SCHEMA_VERSION}",
        "title": "Inferometer profile",
    }
    return json.dumps({**head, **schema}, indent=2) + "\n"


def _tidy(part: dict[str, Any]) -> None:
    part.pop("title", None)
    for field in part.get("properties", {}).values():
        field.pop("title", None)
        field.pop("default", None)
    if "properties" in part:
        part["required"] = list(part["properties"])
        part["additionalProperties"] = False


if __name__ == "__main__":
    Path(__file__).with_name("profile.schema.json").write_text(made(), encoding="utf-8")
