"""`inferometer profiles list`: the best point of each profile, what it costs, and text that steers no terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent.render.profile_summary import cells, summary
from command import ROOT, call
from stored import store_profile

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / "docs/profile.example.json").read_text(encoding="utf-8")


def example(**changed: Any) -> dict[str, Any]:
    return {**json.loads(TEXT), **changed}


def changed_points(**changed: Any) -> dict[str, Any]:
    document = example()
    return {**document, "points": [{**point, **changed} for point in document["points"]]}


def test_the_best_point_has_the_least_energy() -> None:
    found = summary(example(), "baseline")
    points = {point["name"]: point for point in example()["points"]}
    least = points["batch=8"]["energy"]["joules_per_inference"]["total"]["mean"]
    assert (found["best_point"], found["joules_per_inference"], found["tag"]) == ("batch=8", least, "baseline")
    assert (found["created"], found["model"]) == (example()["created"], "transformer 8 M fp32")


def test_the_cost_is_for_a_million_tokens_at_the_expected_use() -> None:
    cost = summary(example())["cost"]
    parts = example()["points"][-1]["cost"]["allocation"]["per_million_output_tokens"]
    expected = parts["energy"]["mean"] + parts["capital"]["mean"]
    assert cost == {
        "amount": pytest.approx(expected),
        "currency": "EUR",
        "per": "M output tokens",
        "basis": "allocation",
    }


def test_without_tokens_and_utilization_the_cost_is_for_a_million_inferences_at_full_use() -> None:
    document = example()
    for point in document["points"]:
        point["cost"]["allocation"] = None
        point["cost"]["usage"]["per_million_output_tokens"] = None
    cost = summary(document)["cost"]
    parts = document["points"][-1]["cost"]["usage"]["per_inference"]
    assert cost["per"] == "M inferences"
    assert cost["amount"] == pytest.approx(1e6 * (parts["energy"]["mean"] + parts["capital"]["mean"]))


def test_without_energy_the_best_point_has_the_highest_rate_and_no_energy_figure() -> None:
    found = summary(changed_points(energy=None, cost=None))
    rates = {point["name"]: point["inferences_per_second"]["mean"] for point in example()["points"]}
    assert found["best_point"] == max(rates, key=lambda name: rates[name])
    assert (found["joules_per_inference"], found["cost"]) == (None, None)
    row = cells(found)
    assert row[7:9] == ("-", "-")


def test_a_profile_without_points_has_no_best_one() -> None:
    found = summary(example(points=[]))
    assert (found["best_point"], found["points"], found["cost"]) == (None, 0, None)
    assert cells(found)[6] == "-"


def test_a_model_file_is_named_without_its_folders() -> None:
    workload = {**example()["workload"], "settings": {"model": "/home/me/secret/resnet50.onnx"}}
    assert summary(example(workload=workload))["model"] == "resnet50.onnx"


def test_the_list_shows_a_row_each_and_can_be_limited(tmp_path: Path) -> None:
    for number in range(3):
        store_profile(tmp_path, json.dumps(example(id=f"p{number}")), f"p{number}")
    lines = call(tmp_path, "profiles", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "p0", "p1", "p2"]
    assert "batch=8" in lines[1]
    assert "EUR/M output tokens" in lines[1]
    assert example()["created"].replace("T", " ")[:16] in lines[1]
    limited = json.loads(call(tmp_path, "profiles", "list", "--limit", 2, "--json").stdout)["profiles"]
    assert [each["id"] for each in limited] == ["p0", "p1"]
    other = call(tmp_path, "profiles", "list", "--workload", "onx")
    assert (other.returncode, other.stdout) == (0, "")
    assert "no profiles of the workload 'onx' in" in other.stderr
    assert "which has profiles of transformer" in other.stderr
    none = call(tmp_path, "profiles", "list", "--workload", "onnx", "--json")
    assert json.loads(none.stdout) == {"profiles": []}


def test_names_that_steer_a_terminal_are_shown_escaped(tmp_path: Path) -> None:
    host = {**example()["host"], "name": "evil\x1b]0;title\x07\nhost"}
    store_profile(tmp_path, json.dumps(example(host=host)))
    for line in (("profiles", "list"), ("profiles", "show")):
        result = call(tmp_path, *line)
        assert result.returncode == 0
        assert "\x1b" not in result.stdout
        assert "\x07" not in result.stdout
        assert "evil\\x1b]0;title\\x07" in result.stdout
    assert len(call(tmp_path, "profiles", "list").stdout.splitlines()) == 2


def test_a_store_whose_only_profile_is_damaged_has_none_to_list(tmp_path: Path) -> None:
    store_profile(tmp_path, "{}", "p0")
    result = call(tmp_path, "profiles", "list")
    assert result.stdout == ""
    assert "None" not in result.stderr
    assert "no profiles in" in result.stderr
