"""The spec of a command: its points, and the options that exclude each other."""

from __future__ import annotations

from typing import Any

import pytest

from agent.runtime.typed_json import from_json, to_json
from agent.workloads.axes import at_point, request
from agent.workloads.command.spec import CommandSpec
from agent.workloads.parameter import settings_of
from agent.workloads.point import points_of


def test_one_command_is_one_point_with_the_name_of_the_program() -> None:
    spec, axes = request(CommandSpec, {"program": ("/opt/infer", "-v")})
    assert points_of(axes) == ({"command": "infer"},)
    assert at_point(spec, {"command": "infer"}).command_line() == ("/opt/infer", "-v")
    assert spec.label == "the program infer"


def test_commands_and_parameters_are_swept_together_and_filled_in_every_command() -> None:
    given: dict[str, Any] = {
        "program": ("gzip", "-{level}"),
        "versus": (("zstd", "-{level}"),),
        "params": {"level": (1, 9)},
        "prepare": (("sync", "{level}"),),
        "count_json": "out-{level}.json:n",
    }
    spec, axes = request(CommandSpec, given)
    points = points_of(axes)
    assert points == tuple({"command": c, "level": n} for c in ("gzip", "zstd") for n in (1, 9))
    found = at_point(spec, points[3])
    assert found.command_line() == ("zstd", "-9")
    assert found.preparation() == (("sync", "9"),)
    [inferences, _] = found.sources()
    assert inferences.path is not None
    assert inferences.path.file.name == "out-9.json"
    assert spec.label == "one of the programs"


def test_a_profile_has_neither_arguments_nor_folders_of_the_commands() -> None:
    given = {
        "program": ("curl", "--header", "secret"),
        "prepare": (("rm", "/home/me/private"),),
        "count_json": "/home/me/out.json:n",
        "ready_when": "up",
    }
    shown = str(settings_of(request(CommandSpec, given)[0]))
    assert "secret" not in shown
    assert "me" not in shown.replace("name", "")
    assert "out.json:n" in shown


def test_a_spec_survives_the_way_to_the_workload_process() -> None:
    spec, _ = request(CommandSpec, {"program": ("a",), "versus": (("b", "{x}"),), "params": {"x": (1, 2.5, "c")}})
    assert from_json(to_json(spec), CommandSpec) == spec


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"count": 2, "count_regex": "a"}, "--count, --count-regex and --count-json exclude each other"),
        ({"tokens_regex": "a", "tokens_json": "f:a"}, "--tokens, --tokens-regex and --tokens-json exclude each other"),
        ({"ready_when": "("}, "--ready-when: "),
        ({"count_json": "file"}, "--count-json: "),
        ({"count": 0}, "--count: 0 is out of range"),
        ({"params": {"level": (1,)}}, "--param level: no command contains {level}"),
        ({"program": ("a", "caf\udce9")}, "--program: its value is not UTF-8"),
        ({"versus": (("b", "caf\udce9"),)}, "--vs: its value is not UTF-8"),
        ({"program": ()}, "there is no command"),
    ],
)
def test_options_that_contradict_each_other_are_refused_by_name(given: dict[str, Any], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        CommandSpec(**{"program": ("a",), "command": "a", **given})
