"""Writes docs/profile.schema.json and docs/tariff.schema.json from the records; `make schema` runs it."""

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec
from profile_fields import explained

from agent.cost.offers import Offer
from agent.cost.tariff import RANGES, Tariff
from agent.cost.tariff_file import KEYS
from agent.cost.time_of_day import PricePeriod
from agent.profiling.records import SCHEMA_VERSION, Document

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCHEMA_OF_TYPE = {bool: {"type": "boolean"}, str: {"type": "string", "minLength": 1}}


def made() -> str:
    """Return the schema of profiles: every object closed, every field required, no generated titles."""
    parts = msgspec.json.schema(Document)["$defs"]
    for name, part in parts.items():
        _tidy(part)
        if "properties" in part:
            part["required"] = list(part["properties"])
            part["properties"] = {each: explained(name, each, found) for each, found in part["properties"].items()}
    document = parts.pop(Document.__name__)
    head = {"$schema": _DIALECT, "$id": f"urn:inferometer:profile:{SCHEMA_VERSION}", "title": "Inferometer profile"}
    return _text({**head, **document, "$defs": dict(sorted(parts.items()))})


def made_tariff() -> str:
    """Return the schema of tariff files, as they are after the TOML is parsed: every object closed, ranges included."""
    parts = {**msgspec.json.schema(Offer)["$defs"], **msgspec.json.schema(PricePeriod)["$defs"]}
    for part in parts.values():
        _tidy(part)
    keys = {key: _key(key) for key in KEYS}
    ends = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    tables = {
        "measured": {"type": "array", "items": {"enum": list(KEYS)}},
        "range": {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(RANGES, ends)},
        "time_of_day": {"type": "array", "items": {"$ref": f"#/$defs/{PricePeriod.__name__}"}},
    }
    name = {"type": "string", "minLength": 1}
    site = {"additionalProperties": False, "required": ["name"], "properties": {"name": name, **keys, **tables}}
    offers = {"type": "array", "items": {"$ref": f"#/$defs/{Offer.__name__}"}}
    whole = {**keys, **tables, "offer": offers, "site": {"type": "array", "items": {"$ref": "#/$defs/Site"}}}
    site["description"] = "The values of one site, in place of the shared ones."
    return _text(
        {
            "$schema": _DIALECT,
            "$id": "urn:inferometer:tariff",
            "title": "Inferometer tariff",
            "description": cleandoc(Tariff.__doc__ or ""),
            "type": "object",
            "additionalProperties": False,
            "properties": whole,
            "$defs": {**dict(sorted(parts.items())), "Site": {"type": "object", **site}},
        }
    )


def _key(name: str) -> dict[str, Any]:
    if name not in RANGES:
        return _SCHEMA_OF_TYPE[bool if name == "facility_includes_power" else str]
    allowed = RANGES[name]
    least = "exclusiveMinimum" if allowed.low_excluded else "minimum"
    kind = "integer" if name == "spares" else "number"
    return {"type": kind, least: allowed.low, "maximum": allowed.high, "description": allowed.allowed}


def _tidy(part: dict[str, Any]) -> None:
    part.pop("title", None)
    part["description"] = cleandoc(part["description"])
    for field in part.get("properties", {}).values():
        field.pop("default", None)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("profile.schema.json").write_text(made(), encoding="utf-8")
    Path(__file__).with_name("tariff.schema.json").write_text(made_tariff(), encoding="utf-8")
