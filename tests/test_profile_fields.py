"""Every field of a profile has a meaning, every number a unit, and the schema and the page have both."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from profile_fields import _MEANINGS, PAGE, field, page, schema_parts

from agent.profiling.records import SCHEMA_VERSION
from command import ROOT
from published_schema import SCHEMA

RECORDS = {name: part for name, part in schema_parts().items() if "properties" in part}


def is_number(schema: dict[str, Any]) -> bool:
    """Return whether a value of a schema can be a number, or contain one that is not in a record."""
    parts = [*schema.get("anyOf", ()), *(schema[name] for name in ("items", "additionalProperties") if name in schema)]
    return schema.get("type") in {"number", "integer"} or any(map(is_number, parts))


def test_every_field_has_a_meaning_and_every_number_a_unit() -> None:
    fields = [(record, name, schema) for record, part in RECORDS.items() for name, schema in part["properties"].items()]
    assert len(fields) > 300
    assert [f"{record}.{name}" for record, name, _ in fields if not field(record, name).meaning.strip()] == []
    numbers = [(record, name) for record, name, schema in fields if is_number(schema)]
    assert len(numbers) > 150
    assert [number for number in numbers if not field(*number).unit] == []


def test_every_meaning_is_that_of_a_field() -> None:
    listed = {(record, name) for record, meanings in _MEANINGS.items() for name in meanings}
    assert listed - {(record, name) for record, part in RECORDS.items() for name in part["properties"]} == set()


def test_a_field_without_a_meaning_is_named() -> None:
    with pytest.raises(KeyError, match=r"profile-fields.toml has no meaning of Point\.later"):
        field("Point", "later")


@pytest.mark.parametrize(
    ("record", "name", "unit"),
    [
        ("PlanFacts", "window_seconds", "s"),
        ("Point", "inferences_per_second", "inferences/s"),
        ("PointEnergy", "joules_per_output_token", "J per output token"),
        ("Baseline", "watts", "W"),
        ("ThrottledPeriod", "start_ns", "ns of Unix time"),
        ("IdleDrift", "relative_change", "ratio"),
        ("Offer", "price_per_million_input_tokens", "currency per million tokens"),
    ],
)
def test_a_unit_is_that_of_the_name_or_the_listed_one(record: str, name: str, unit: str) -> None:
    assert field(record, name).unit == unit


def test_the_published_schema_is_of_draft_2020_12_and_has_the_meanings_and_the_version() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"].endswith(f":{SCHEMA_VERSION}")
    assert re.fullmatch(r"\d+\.\d+", SCHEMA_VERSION)
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    assert [
        name for part in parts for name, each in part.get("properties", {}).items() if "description" not in each
    ] == []
    watts = SCHEMA["$defs"]["PointPower"]["properties"]["peak_watts"]
    assert watts["unit"] == "W"


def test_the_page_of_fields_is_that_of_the_records() -> None:
    """After a change: `make schema`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_documents_of_every_version_are_fixtures() -> None:
    versions = {path.stem for path in (ROOT / "tests/fixtures/profiles").glob("*.json")}
    for path in (ROOT / "tests/fixtures/profiles").glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["schema_version"] == path.stem
    major, minor = map(int, SCHEMA_VERSION.split("."))
    assert versions == {"1.0", "1.1", *(f"{major}.{number}" for number in range(minor))}
