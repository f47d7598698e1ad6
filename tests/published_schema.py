"""Validates profile documents with jsonschema, which knows the published schema and not the records behind it."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from command import ROOT

SCHEMA = json.loads((ROOT / "docs/profile.schema.json").read_text(encoding="utf-8"))


def validate(document: dict[str, Any]) -> None:
    """Raise jsonschema.ValidationError if a document does not fit the published schema."""
    Draft202012Validator(SCHEMA).validate(document)
