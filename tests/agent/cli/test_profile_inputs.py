"""`inferometer profile onnx` with inputs that decide how much the model computes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from command import call, run
from profile_runs import BARE_METAL, SHORT, document

if TYPE_CHECKING:
    from pathlib import Path

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")


def sensors(folder: Path) -> tuple[object, ...]:
    """Return options for a host without any sensor, whatever the real one has."""
    return (*BARE_METAL, "--path.sysfs", folder, "--path.nvml-library", folder / "no-driver.so")


def save_loop(path: Path) -> None:
    """Save a model that adds x to a sum n times."""
    value, proto, node = onnx.helper.make_tensor_value_info, onnx.TensorProto, onnx.helper.make_node
    body = onnx.helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Add", ["v", "x"], ["w"])],
        "body",
        [value("i", proto.INT64, []), value("c", proto.BOOL, []), value("v", proto.FLOAT, [4])],
        [value("d", proto.BOOL, []), value("w", proto.FLOAT, [4])],
    )
    graph = onnx.helper.make_graph(
        [node("Loop", ["n", "", "x"], ["y"], body=body)],
        "loop",
        [value("n", proto.INT64, []), value("x", proto.FLOAT, [4])],
        [value("y", proto.FLOAT, [4])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def test_given_inputs_are_in_the_profile_by_digest_and_synthetic_ones_are_noted(tmp_path: Path) -> None:
    folder = tmp_path / "private-folder"
    folder.mkdir()
    save_loop(folder / "loop.onnx")
    np.save(folder / "x.npy", np.full(4, 0.125, np.float32))
    line = ("profile", "onnx", "--model", folder / "loop.onnx", *SHORT, *sensors(tmp_path))
    line = (*line, "--no-estimates", "--repeats", 1, "--json")
    given = run(tmp_path, *line, "--input", "n=1000", "--input", f"x={folder}/x.npy")
    synthetic = run(tmp_path, *line)
    for result in (given, synthetic):
        assert "private-folder" not in result.stdout
        assert document(result)["workload"]["settings"]["model"] == "loop.onnx"
    by_name = {each["name"]: each for each in document(given)["workload"]["inputs"]}
    digest = hashlib.sha256((folder / "x.npy").read_bytes()).hexdigest()
    assert by_name["x"] == {"name": "x", "element": "float32", "shape": [4], "values": "given", "sha256": digest}
    assert by_name["n"]["values"] == "given"
    assert [note for note in document(given)["notes"] if "synthetic" in note] == []
    assert "synthetic" not in given.stderr
    (note,) = (note for note in document(synthetic)["notes"] if "synthetic" in note)
    assert "n (int64 scalar)" in note
    assert f"warning: {note}" in synthetic.stderr


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("n=many", "--input n=many: 'many' is not a number"),
        ("n=nowhere.npy", "--input n=nowhere.npy: nowhere.npy does not exist"),
        ("m=1", "--input m: the model has no such input. Remedy: its inputs are n, x"),
        ("n=1.5", "--input n: the value does not fit the type int64"),
        ("x=[1,2]", "--input x: values of the shape 2 do not fit 4"),
    ],
)
def test_an_invalid_input_ends_with_2_before_anything_is_measured(tmp_path: Path, option: str, words: str) -> None:
    save_loop(tmp_path / "loop.onnx")
    result = call(tmp_path, "profile", "onnx", "--model", tmp_path / "loop.onnx", "--input", option, *sensors(tmp_path))
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


# --- models that would take the host ------------------------------------------------------------------------------


def save(path: Path, nodes: list, inputs: list, constants: list, output: str = "y") -> Path:
    graph = onnx.helper.make_graph(nodes, "g", inputs, [onnx.helper.make_tensor_value_info(output, 1, None)], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def endless(path: Path) -> Path:
    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    body = onnx.helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Identity", ["v"], ["w"])],
        "body",
        [value("i", 7, []), value("c", 9, []), value("v", 1, [1])],
        [value("d", 9, []), value("w", 1, [1])],
    )
    always = onnx.helper.make_tensor("always", 9, [], [True])
    return save(path, [node("Loop", ["", "always", "x"], ["y"], body=body)], [value("x", 1, [1])], [always])


def large(path: Path) -> Path:
    """Save a model of a hundred bytes that makes 2 GiB of zeros."""
    node, size = onnx.helper.make_node, onnx.helper.make_tensor("s", 7, [1], [1 << 29])
    nodes = [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])]
    return save(path, nodes, [onnx.helper.make_tensor_value_info("x", 1, [1])], [size])


def test_a_model_beyond_its_time_or_memory_is_ended_by_the_limit_that_the_error_names(tmp_path: Path) -> None:
    line = ("profile", "onnx", *SHORT, *sensors(tmp_path), "--model")
    late = run(tmp_path, *line, endless(tmp_path / "endless.onnx"), "--timeout", 2)
    greedy = run(tmp_path, *line, large(tmp_path / "large.onnx"), "--memory-limit", "400MB")
    for result, name, option in ((late, "endless.onnx", "--timeout"), (greedy, "large.onnx", "--memory-limit")):
        assert (result.returncode, result.stdout) == (2, "")
        assert f"the model {name} " in result.stderr
        assert option in result.stderr
        assert "Traceback" not in result.stderr
    assert "within 2 s, the limit of --timeout. Remedy: give a longer --timeout" in late.stderr
    assert "--memory-limit allows 381 MiB" in greedy.stderr


def test_names_in_a_model_reach_the_terminal_without_control_characters(tmp_path: Path) -> None:
    name = "x\n\x1b[31mred\x1b]0;title\x07"
    value = onnx.helper.make_tensor_value_info
    model = save(
        tmp_path / "m.onnx", [onnx.helper.make_node("Identity", [name], ["y"])], [value(name, 1, [1, "\x1b[5m"])], []
    )
    for options in ((), ("--shape", "y=1"), ("--batch", 2, "--shape", f"{name}=1x2"), ("--shape", f"{name}=7x2")):
        result = call(tmp_path, "profile", "onnx", "--model", model, *sensors(tmp_path), *options)
        assert result.returncode == 2
        assert "red" in result.stderr
        assert "\x1b" not in result.stderr
        assert "\x07" not in result.stderr
