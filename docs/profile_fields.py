"""The meanings and units of the fields of a profile, from profile-fields.toml, for the schema and for a page.

    python docs/profile_fields.py

Writes docs/profile-fields.md; `make schema` runs it.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agent.profiling.records import SCHEMA_VERSION, Document

PAGE = Path(__file__).with_name("profile-fields.md")
_MEANINGS: dict[str, dict[str, str | list[str]]] = tomllib.loads(
    Path(__file__).with_name("profile-fields.toml").read_text(encoding="utf-8")
)
_UNITS = {
    r"(?:.*_)?seconds": "s",
    r".*_ns": "ns of Unix time",
    r"(?:.*_)?watts": "W",
    r".*_hertz": "Hz",
    r".*_celsius": "°C",
    r".*_bytes": "B",
    r".*_share|relative_.*": "ratio",
}
"""The unit that the name of a field states."""


class Field(NamedTuple):
    """The meaning of a field, and its unit: empty unless it is a number."""

    meaning: str
    unit: str


@cache
def schema_parts() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each record and enumeration of a profile, in the order of the document."""
    parts: dict[str, dict[str, Any]] = msgspec.json.schema(Document)["$defs"]
    return parts


def field(record: str, name: str) -> Field:
    """Return a field of a record. Raises KeyError, naming it, if profile-fields.toml does not have it."""
    try:
        entry = _MEANINGS[record][name]
    except KeyError as error:
        raise KeyError(f"docs/profile-fields.toml has no meaning of {record}.{name}") from error
    if isinstance(entry, list):
        unit, meaning = entry
        return Field(meaning, unit)
    return Field(entry, _unit_of(name))


def explained(record: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field with its meaning, and with its unit if it has one."""
    found = field(record, name)
    return {"description": found.meaning, **({"unit": found.unit} if found.unit else {}), **schema}


def _unit_of(name: str) -> str:
    for pattern, unit in _UNITS.items():
        if re.fullmatch(pattern, name):
            return unit
    if per := re.fullmatch(r"joules_per_(.+)", name):
        return f"J per {per[1].replace('_', ' ')}"
    per = re.fullmatch(r"(.+)_per_second", name)
    return f"{per[1].replace('_', ' ')}/s" if per else ""


def page() -> str:
    """Return the page: a table for each record."""
    parts = schema_parts()
    head = (
        "# Fields of a profile\n\n"
        f"Every field of schema {SCHEMA_VERSION}, by record; [profile.md](profile.md) explains how to read them.\n"
        "`make schema` makes this page from `docs/profile-fields.toml`. The unit `of the field` is that of the field\n"
        "that contains the record.\n"
    )
    return head + "".join(_table(name, part) for name, part in parts.items() if "properties" in part)


def _table(record: str, part: dict[str, Any]) -> str:
    rows = [f"\n## {record}\n", "| field | type | unit | meaning |", "|---|---|---|---|"]
    for name, schema in part["properties"].items():
        found = field(record, name)
        meaning = found.meaning.replace("|", "\\|")
        rows.append(f"| `{name}` | {_type(schema)} | {found.unit or '-'} | {meaning} |")
    return "\n".join(rows) + "\n"


def _type(schema: dict[str, Any]) -> str:
    """Return the type of a field in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        part = schema_parts()[name]
        return f"[{name}](#{name.lower()})" if "properties" in part else _words(part["enum"])
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return _words(schema["enum"])
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    if schema["type"] == "object":
        return f"object with {_type(schema['additionalProperties'])}"
    return {"string": "text", "boolean": "true or false"}.get(schema["type"], str(schema["type"]))


def _words(values: list[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
