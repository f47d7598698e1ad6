"""Every cause of a failure, with a model or a file that has it: message and remedy name that cause."""

import re

import pytest

from agent.workloads.causes import CAUSES, clean, match_cause
from agent.workloads.errors import OutOfMemoryError, as_workload_error
from agent.workloads.input_spec import parse_inputs
from agent.workloads.onnx.spec import OnnxSpec
from refused_models import ENGINE, MODELS, RELU, failure, model

onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")
RAISED = {
    "provider": (RuntimeError("CUDA failure 100: no CUDA-capable device"), "CUDA failure 100", "--device cpu"),
    "invalid_file": (RuntimeError("Protobuf parsing failed."), "truncated", "download it again"),
}


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


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.1 GiB",
        "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried 9",
    ],
)
def test_a_lack_of_memory_in_torch_is_recognized(message):
    assert isinstance(as_workload_error(RuntimeError(message), "running batch=8", "unknown"), OutOfMemoryError)


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
