"""`inferometer profiles validate`: every error names its path in the document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from agent.bundles.writing import bundle_bytes
from agent.profiling.document.faults import faults
from command import ROOT, call
from published_schema import SCHEMA
from trees import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXAMPLE = ROOT / "docs/profile.example.json"
DOCUMENT: dict[str, Any] = json.loads(EXAMPLE.read_text(encoding="utf-8"))


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(json.dumps(DOCUMENT))
    change(document)
    return json.dumps(document)


def test_documents_of_every_version_are_valid(tmp_path: Path) -> None:
    files = [EXAMPLE, ROOT / "docs/serving.example.json", *sorted((FIXTURES / "profiles").glob("*.json"))]
    done = call(tmp_path, "profiles", "validate", *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()][2:] == [path.stem for path in files[2:]]
    assert all(": valid, schema " in line for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (lambda d: d["points"][0].update(valid="yes"), "$.points[0].valid", "Expected `bool`, got `str`"),
        (lambda d: d["points"][0].pop("checks"), "$.points[0].checks", "this field is missing"),
        (lambda d: d["points"][1].update(more=1), "$.points[1].more", "this field is unknown"),
        (lambda d: d["host"].pop("name"), "$.host.name", "this field is missing"),
        (lambda d: d.update(baselines=3), "$.baselines", "Expected `array`"),
        (lambda d: d["tariff"].update(pue="much"), "$.tariff.pue", "Expected `float`"),
        (lambda d: d["tariff"].update(pue=0.5), "$.tariff", "pue = 0.5 is out of range"),
        (lambda d: d["workload"]["settings"].update(x={"a": ["b"]}), "$.workload.settings.x.a[0]", "Expected `int`"),
        (
            lambda d: d["points"][2]["checks"][1].update(status="z"),
            "$.points[2].checks[1].status",
            "Invalid enum value",
        ),
        (
            lambda d: d["points"][3]["cost"]["usage"]["per_inference"]["energy"].update(lower=9e9),
            "$.points[3].cost.usage.per_inference.energy",
            "is out of order",
        ),
        (lambda d: d.pop("points"), "$.points", "this field is missing"),
        (lambda d: d.update(points=[1]), "$.points[0]", "Expected `object`"),
    ],
)
def test_a_fault_has_its_path(change: Callable[[dict[str, Any]], object], path: str, words: str) -> None:
    version, found = faults(changed(change))
    assert version == DOCUMENT["schema_version"]
    assert path in [fault.path for fault in found]
    assert words in next(fault.message for fault in found if fault.path == path)
    assert len(found) == 1


def test_every_fault_is_found_and_jsonschema_agrees_on_the_places() -> None:
    def change(document: dict[str, Any]) -> None:
        document["points"][0]["valid"] = "yes"
        document["points"][1]["energy"]["sensors"][0]["device"] = 3
        document["baselines"][0]["watts"]["mean"] = "x"
        document["extra"] = 1

    text = changed(change)
    _, found = faults(text)
    expected = {error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(json.loads(text))}
    assert {fault.path for fault in found} == {
        *("$.points[0].valid", "$.points[1].energy.sensors[0].device", "$.baselines[0].watts.mean", "$.extra"),
    }
    assert all(any(fault.path.startswith(path) for path in expected) for fault in found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "its `schema` is not inferometer.profile"),
        ('{"schema": "inferometer.profile", "schema_version": "9.0"}', "install a newer inferometer"),
        ('{"schema": "inferometer.profile", "schema_version": "1.1"}', "does not fit its schema version 1.1"),
        ('{"schema_version": "2.2"}', "its `schema` is not inferometer.profile"),
    ],
)
def test_a_text_that_is_not_a_profile_has_one_fault(text: str, words: str) -> None:
    _, [fault] = faults(text)
    assert fault.path == "$"
    assert words in fault.message


def test_the_command_reports_each_file_and_fails_if_one_is_not_valid(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(changed(lambda d: d["points"][0].update(valid="yes\x1b[2J")), encoding="utf-8")
    (tmp_path / "bundle.zip").write_bytes(bundle_bytes(DOCUMENT, None, None))
    (tmp_path / "cut.zip").write_bytes(bundle_bytes(DOCUMENT, None, None)[:-9])
    files = [EXAMPLE, "bad.json", "bundle.zip", "cut.zip", "missing.json"]
    done = call(tmp_path, "profiles", "validate", *files, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert found["valid"] is False
    assert [each["valid"] for each in found["files"]] == [True, False, True, False, False]
    assert found["files"][1]["errors"] == [{"path": "$.points[0].valid", "message": "Expected `bool`, got `str`"}]
    shown = call(tmp_path, "profiles", "validate", *files)
    assert shown.returncode == 1
    assert "bad.json: 1 error\n  $.points[0].valid: Expected `bool`, got `str`\n" in shown.stdout
    assert "missing.json: 1 error\n  $: it cannot be read (No such file or directory)" in shown.stdout


def test_many_errors_are_shortened_in_text_and_complete_in_json(tmp_path: Path) -> None:
    text = changed(lambda d: d["host"].update({f"\x1b{number}": 1 for number in range(50)}))
    (tmp_path / "bad.json").write_text(text, encoding="utf-8")
    shown = call(tmp_path, "profiles", "validate", "bad.json").stdout
    assert (len(shown.splitlines()), shown.splitlines()[-1]) == (22, "  and 30 more")
    assert "\x1b" not in shown
    listed = json.loads(call(tmp_path, "profiles", "validate", "bad.json", "--json").stdout)
    assert len(listed["files"][0]["errors"]) == 50
