"""Files that are not a model, or a damaged one."""

import contextlib
import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.errors import WorkloadError
from agent.workloads.onnx.spec import OnnxSpec
from nobody import NOBODY
from refused_models import ENGINE, MODELS, RELU, failure, model

onnx_file = pytest.importorskip("agent.workloads.onnx.model_file", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")


@pytest.mark.parametrize(
    ("content", "words", "remedy"),
    [
        (b"", "is empty", "export or download it again"),
        (b"\x08\x08\x12\x7f", "is not an ONNX model, or it is truncated", "export or download it again"),
        (model(RELU)[:40], "is not an ONNX model, or it is truncated", "export or download it again"),
        (b"\x08\x08", "is not an ONNX model, or it is truncated", "export or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer", "git lfs pull"),
        (b"<!DOCTYPE html><title>404</title>", "is a web page", "download the model itself"),
        (b'{"irVersion": "8"}', "is JSON text", "binary format"),
        (b"ir_version: 8\n", "is text", "binary format"),
        (b"PK\x03\x04" + b"\0" * 60, "is an archive (a zip file or a PyTorch checkpoint)", "torch.onnx"),
        (b"\x1f\x8b" + b"\0" * 60, "is an archive (gzip)", "unpack it"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file", "tf2onnx"),
        (b"GGUF\x03\0\0\0", "is a GGUF file", "export the model as ONNX"),
        (b'\x40\0\0\0\0\0\0\0{"a":{}}', "is a safetensors file", "export the model as ONNX"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 9, "is a TensorFlow Lite file", "tf2onnx"),
    ],
)
def test_a_file_of_another_format_is_reported_by_its_format(tmp_path, content, words, remedy):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    found = failure(path)
    assert words in found.message
    assert str(path) in found.message
    assert remedy in found.remedy


def test_a_protobuf_with_any_suffix_is_a_model(tmp_path):
    for name in ("m.json", "m.textproto", "m.txt", "model"):
        (tmp_path / name).write_bytes(model(RELU))
        assert onnx_model.load(OnnxSpec(tmp_path / name), ENGINE).prepare({"batch": 1})


def test_a_path_that_is_not_a_regular_file_is_refused_at_once_and_by_name(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as pipe_reader:
        pipe_reader.bind(str(tmp_path / "socket"))
        for name, words in {
            "pipe": "is a pipe",
            "link": "is a pipe",
            ".": "is a directory",
            "socket": "cannot be opened",
            "loop": "cannot be opened: Too many levels of symbolic links",
            "gone": "does not exist",
            "m.onnx/m.onnx": "does not exist",
        }.items():
            assert words in failure(tmp_path / name).message
    assert "is a device" in failure(Path("/dev/zero")).message


def test_a_link_to_a_model_is_followed(tmp_path):
    (tmp_path / "m.onnx").write_bytes(model(RELU))
    (tmp_path / "link.onnx").symlink_to("m.onnx")
    assert onnx_model.load(OnnxSpec(tmp_path / "link.onnx"), ENGINE).prepare({"batch": 1})


def test_a_model_of_more_than_a_protobuf_holds_is_refused_by_its_size(tmp_path):
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(10 << 30)
    found = failure(tmp_path / "m.onnx")
    assert f"has {10 << 30} bytes" in found.message
    assert "external data" in found.remedy


def test_an_unreadable_model_is_refused_by_its_permissions(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(model(RELU))
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    try:
        found = failure(path)
    finally:
        os.seteuid(user)
    assert "cannot be opened: Permission denied" in found.message
    assert found.remedy == "give your user permission to read it"


FUZZED = [MODELS[cause][0] for cause in sorted(MODELS)]


@given(st.data())
def test_a_damaged_model_is_read_or_refused_and_counts_no_more_than_its_bytes(draw_from):
    content = bytearray(draw_from.draw(st.sampled_from(FUZZED)))
    for place, byte in draw_from.draw(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)):
        content[place % len(content)] = byte
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(content)
        file.flush()
        with contextlib.suppress(WorkloadError):
            found = onnx_file.read_model_file(Path(file.name))
            assert 0 <= found.parameters <= 8 * len(content)
