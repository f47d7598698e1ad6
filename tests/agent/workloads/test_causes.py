"""Every cause of a failure, with a model or a file that has it: message and remedy name that cause."""

import contextlib
import os
import re
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.causes import CAUSES, clean, match_cause
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError, as_workload_error
from agent.workloads.input_spec import parse_inputs
from agent.workloads.onnx.spec import OnnxSpec
from nobody import NOBODY

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_file = pytest.importorskip("agent.workloads.onnx.model_file", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")

ENGINE = EngineSpec(provider="cpu", threads=1)
FLOAT, INT64, BFLOAT16 = 1, 7, 16


def value(name, shape, element=FLOAT):
    return onnx.helper.make_tensor_value_info(name, element, shape)


def node(kind, inputs, **attributes):
    return onnx.helper.make_node(kind, inputs, ["y"], **attributes)


def weights(name, array, **changes):
    tensor = onnx.numpy_helper.from_array(array, name)
    for field, changed in changes.items():
        setattr(tensor, field, changed)
    return tensor


def model(nodes, inputs=None, output=None, initializers=(), *, opset=17, ir_version=8, domains=()):
    """Return the bytes of a model of x and y, both [2] if nothing else is said."""
    graph = onnx.helper.make_graph(
        nodes if isinstance(nodes, list) else [nodes],
        "g",
        inputs or [value("x", [2])],
        [output or value("y", None)],
        list(initializers),
    )
    opsets = [onnx.helper.make_opsetid("", opset), *(onnx.helper.make_opsetid(name, 1) for name in domains)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=ir_version).SerializeToString()


RELU = node("Relu", ["x"])
ONES = np.ones(3, np.float32)
# cause: (model, words of the message, words of the remedy)
MODELS = {
    "custom_operator": (
        model(node("Warp", ["x"], domain="my.ops"), domains=["my.ops"]),
        "the custom operator my.ops:Warp is not part of onnxruntime",
        "standard ONNX operators",
    ),
    "newer_microsoft_operator": (
        model(node("Warp", ["x"], domain="com.microsoft"), domains=["com.microsoft"]),
        "this onnxruntime lacks the operator com.microsoft:Warp",
        "install a newer onnxruntime",
    ),
    "domain_not_imported": (
        model(node("Warp", ["x"], domain="my.ops")),
        "the operator Warp belongs to the domain 'my.ops'",
        "standard ONNX operators",
    ),
    "unknown_operator": (model(node("Warp", ["x"])), "the opset 17 of the model has no operator Warp", "for an opset"),
    "newer_opset": (model(RELU, opset=99), "the model uses opset 99 of ai.onnx", "export the model for opset "),
    "newer_ir_version": (
        model(RELU, ir_version=99),
        "the model has IR version 99",
        "save the model with ir_version=",
    ),
    "no_kernel": (
        model(
            node("Conv", ["x", "w"]),
            [value("x", [1, 1, 4, 4], BFLOAT16), value("w", [1, 1, 2, 2], BFLOAT16)],
            value("y", None, BFLOAT16),
            opset=22,
            ir_version=10,
        ),
        "no kernel for the operator Conv (opset 22)",
        "float32",
    ),
    "unknown_type": (
        model(RELU, initializers=[weights("w", ONES, data_type=99)]),
        "the weights 'w' have an unknown type",
        "other types",
    ),
    "short_weights": (
        model(node("Add", ["x", "w"]), [value("x", [3])], initializers=[weights("w", ONES, raw_data=b"\0" * 4)]),
        "the weights 'w' have 4 bytes, their shape needs 12",
        "export or download the model again",
    ),
    "wrong_types": (
        model(node("Add", ["x", "z"]), [value("x", [2]), value("z", [2], INT64)]),
        "bound to different types",
        "the types of each operator agree",
    ),
    "shapes_in_graph": (
        model(node("Add", ["x", "w"]), initializers=[weights("w", ONES)]),
        "Incompatible dimensions",
        "the shapes of each operator agree",
    ),
    "invalid_graph": (model(node("Add", ["x", "nowhere"])), "'nowhere' is not a graph input", "run onnx.checker"),
    "value_out_of_range": (
        model(node("Gather", ["w", "x"]), [value("x", [9], INT64)], initializers=[weights("w", ONES[:1])]),
        "out of data bounds",
        "such as --input x=0",
    ),
    "sizes_of_inputs": (
        model(
            node("Reshape", ["x", "s"]),
            [value("x", ["n", 2])],
            initializers=[weights("s", np.array([3], np.int64))],
        ),
        "cannot be reshaped",
        "--shape NAME=",
    ),
    "out_of_memory": (
        model([node("ConstantOfShape", ["s"])], [value("x", [1])], initializers=[weights("s", np.array([1 << 46]))]),
        "out of memory",
        "a smaller batch or a smaller model",
    ),
}
RAISED = {
    "engine_missing": (ImportError("no engine"), "the engine cannot be loaded: no engine", "pip install"),
    "provider": (RuntimeError("CUDA failure 100: no CUDA-capable device"), "CUDA failure 100", "--provider cpu"),
    "invalid_file": (RuntimeError("Protobuf parsing failed."), "truncated", "download it again"),
}


def failure(path, *given):
    with pytest.raises(WorkloadError) as raised:
        onnx_model.load(OnnxSpec(path, inputs=parse_inputs(given)), ENGINE).prepare({"batch": 1})
    return raised.value


@pytest.mark.parametrize("cause", sorted(MODELS))
def test_a_model_that_cannot_run_is_refused_by_its_cause_with_a_remedy_that_fits(tmp_path, cause):
    content, message, remedy = MODELS[cause]
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    found = failure(path)
    assert message in found.message
    assert remedy in found.remedy
    assert "onnxruntime_src" not in found.message
    assert match_cause(found.__cause__).name == cause


def test_every_cause_in_the_table_has_a_test():
    assert {cause.name for cause in CAUSES} == MODELS.keys() | RAISED.keys()


@pytest.mark.parametrize("cause", sorted(RAISED))
def test_a_failure_outside_the_model_has_its_own_cause(cause):
    error, message, remedy = RAISED[cause]
    assert match_cause(error).name == cause
    found = as_workload_error(error, "loading", "unknown")
    assert message in found.message
    assert remedy in found.remedy


def test_a_value_suggested_for_an_input_out_of_range_works(tmp_path):
    (tmp_path / "m.onnx").write_bytes(MODELS["value_out_of_range"][0])
    option = re.search(r"--input (\S+=\d+)", failure(tmp_path / "m.onnx").remedy)[1]
    onnx_model.load(OnnxSpec(tmp_path / "m.onnx", inputs=parse_inputs([option])), ENGINE).prepare({"batch": 1})


@pytest.mark.parametrize("cause", ["newer_opset", "newer_ir_version"])
def test_a_suggested_version_works(tmp_path, cause):
    path = tmp_path / "m.onnx"
    path.write_bytes(MODELS[cause][0])
    version = int(re.search(r"(?:opset |ir_version=)(\d+)", failure(path).remedy)[1])
    path.write_bytes(model(RELU, **{"opset" if cause == "newer_opset" else "ir_version": version}))
    onnx_model.load(OnnxSpec(path), ENGINE).prepare({"batch": 1})


def test_an_unknown_cause_is_reported_in_the_words_of_the_engine_without_its_source():
    words = "/onnxruntime_src/a/b.cc:12 void f(const std::vector<int>&, g(int)) const the reason (here)"
    assert clean(f"[ONNXRuntimeError] : 1 : FAIL : {words}") == "the reason (here)"
    found = as_workload_error(RuntimeError(f"x {'(' * 5000}"), "running", "try that")
    assert found.message.startswith("running: RuntimeError: x ((")
    assert len(found.message) < 500
    assert found.remedy == "try that"


# --- files that are no model ----------------------------------------------------------------------------------------


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


def test_a_protobuf_is_a_model_whatever_its_name_ends_in(tmp_path):
    for name in ("m.json", "m.textproto", "m.txt", "model"):
        (tmp_path / name).write_bytes(model(RELU))
        assert onnx_model.load(OnnxSpec(tmp_path / name), ENGINE).prepare({"batch": 1})


def test_a_path_that_is_no_regular_file_is_refused_at_once_and_by_name(tmp_path):
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


# --- weights beside the model ---------------------------------------------------------------------------------------


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
