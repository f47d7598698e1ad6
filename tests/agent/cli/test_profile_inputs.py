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
    line = ("profile", "onnx", "--model", folder / "loop.onnx", *SHORT, *BARE_METAL, "--path.sysfs", tmp_path)
    line = (*line, "--no-estimates", "--json")
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
        ("n=many", "--input n=many: 'many' is no number"),
        ("n=nowhere.npy", "--input n=nowhere.npy: nowhere.npy does not exist"),
        ("m=1", "--input m: the model has no such input. Remedy: its inputs are n, x"),
        ("n=1.5", "--input n: the value does not fit the type int64"),
        ("x=[1,2]", "--input x: values of the shape 2 do not fit 4"),
    ],
)
def test_an_input_that_cannot_be_given_ends_with_2_before_anything_is_measured(
    tmp_path: Path, option: str, words: str
) -> None:
    save_loop(tmp_path / "loop.onnx")
    result = call(tmp_path, "profile", "onnx", "--model", tmp_path / "loop.onnx", "--input", option, *BARE_METAL)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
