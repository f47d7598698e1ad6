"""Weights in files beside the model."""

import os

import pytest

from agent.workloads.onnx.spec import OnnxSpec
from refused_models import ENGINE, FLOAT, failure, model, node, value

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")


def with_external(folder, location, *, size=16, **entries):
    """Save a model whose weights are said to be in another file."""
    tensor = onnx.TensorProto(name="w", data_type=FLOAT, dims=[size // 4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, entry in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value="@" if isinstance(entry, bytes) else str(entry))
    path = folder / "m.onnx"
    content = model(node("Add", ["x", "w"]), [value("x", [size // 4])], initializers=[tensor])
    path.write_bytes(content.replace(b"\x01@", b"\x01" + location) if isinstance(location, bytes) else content)
    return path


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("gone.bin", {}, "the weights of the model are in 'gone.bin', which is not beside it"),
        ("../weights.bin", {}, "outside the directory of the model"),
        ("/etc/passwd", {"length": 16}, "outside the directory of the model"),
        ("/proc/self/environ", {"length": 16}, "outside the directory of the model"),
        ("away.bin", {"length": 16}, "outside the directory of the model"),
        ("pipe", {"length": 16}, "not a regular file"),
        (".", {"length": 16}, "not a regular file"),
        ("a\0b", {}, "names no usable file"),
        ("", {}, "names no usable file"),
        ("*/_ORT_MEM_ADDR_/*", {"offset": 4096, "length": 16}, "names no usable file"),
        ("inside.bin", {"offset": -8, "length": 16}, "not inside their file 'inside.bin', which has 16 bytes"),
        ("inside.bin", {"offset": 1 << 62, "length": 16}, "not inside their file"),
        ("inside.bin", {"offset": 8, "length": 16}, "not inside their file"),
        ("inside.bin", {"length": "many"}, "not inside their file"),
        (b"\xff", {}, "names no usable file"),
        ("\x1b[31mred", {}, r"'\x1b[31mred'"),
    ],
)
def test_weights_outside_the_folder_of_the_model_are_refused_by_name(tmp_path, location, entries, words):
    (tmp_path / "weights.bin").write_bytes(b"\0" * 16)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "inside.bin").write_bytes(b"\0" * 16)
    (folder / "away.bin").symlink_to("../weights.bin")
    os.mkfifo(folder / "pipe")
    found = failure(with_external(folder, location, **entries))
    assert words in found.message
    assert found.remedy
    assert "\x1b" not in found.message + found.remedy


def test_weights_in_a_cache_of_links_are_found_beside_the_model_they_belong_to(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    with_external(blobs, "weights.bin").rename(blobs / "4711")
    (blobs / "0815").write_bytes(np.ones(4, np.float32).tobytes())
    (snapshot / "m.onnx").symlink_to("../blobs/4711")
    (snapshot / "weights.bin").symlink_to("../blobs/0815")
    ready = onnx_model.load(OnnxSpec(snapshot / "m.onnx"), ENGINE).ready
    assert ready.parameters == 4
    assert ready.model_bytes == (blobs / "4711").stat().st_size + 16
