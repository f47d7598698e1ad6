"""`inferometer profile --list`: the workloads, their engines, and what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent.render.workload_list import document, workload_list
from agent.workloads import registry
from agent.workloads.declaration import Engine, Workload
from agent.workloads.transformer.spec import TransformerSpec
from command import call

if TYPE_CHECKING:
    from pathlib import Path

MISSING = Engine("tpu", ("no_such_module",), ("no-such-program",), "pip install 'inferometer[tpu]'")


def test_the_list_has_every_workload_with_its_engines(tmp_path: Path) -> None:
    listed = json.loads(call(tmp_path, "profile", "--list", "--json").stdout)
    assert [each["name"] for each in listed] == list(registry.names())
    (transformer,) = (each for each in listed if each["name"] == "transformer")
    assert transformer["available"]
    assert transformer["help"] == "Profile a transformer in the shape of an open model."
    assert {"name": "onnxruntime", "missing": [], "remedy": None} in transformer["engines"]
    lines = call(tmp_path, "profile", "--list").stdout.splitlines()
    assert lines[0].split() == ["WORKLOAD", "ENGINE", "AVAILABLE", "NOTE"]
    assert ["transformer", "onnxruntime", "yes"] in [line.split() for line in lines]


def test_an_engine_that_is_missing_names_its_extra_and_a_broken_workload_its_reason() -> None:
    workloads = {"late": Workload(TransformerSpec, "", "Profile.", (MISSING,)), "broken": "it cannot be loaded"}
    late, broken = document(workloads)
    assert not late["available"]
    assert late["engines"][0]["missing"] == ["no_such_module", "no-such-program"]
    assert (broken["available"], broken["reason"]) == (False, "it cannot be loaded")
    text = workload_list(workloads)
    assert "no_such_module, no-such-program not installed: pip install 'inferometer[tpu]'" in text
    assert "it cannot be loaded" in text


@pytest.mark.parametrize("line", [("--list", "transformer"), ("--json", "onnx"), ("--json",)])
def test_a_list_beside_the_name_of_a_workload_is_refused(tmp_path: Path, line: tuple[str, ...]) -> None:
    refused = call(tmp_path, "profile", *line)
    assert refused.returncode == 2
    assert "--list" in refused.stderr
