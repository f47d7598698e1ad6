"""Small ONNX models, and their workload."""

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.input_spec import parse_inputs
from agent.workloads.onnx.spec import OnnxSpec

onnx = pytest.importorskip("onnx", reason="the onnx extra is not installed")
onnx_inputs = pytest.importorskip("agent.workloads.onnx.inputs", reason="the onnx extra is not installed")
onnx_model = pytest.importorskip("agent.workloads.onnx.workload", reason="the onnx extra is not installed")
FLOAT, INT64 = 1, 7
ENGINE = EngineSpec(device="cpu", threads=1)


def value(name, shape, element=FLOAT):
    return onnx.helper.make_tensor_value_info(name, element, shape)


def save(path, nodes, inputs, outputs, initializers=(), opset=17):
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [onnx.helper.make_opsetid("", opset)]
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return path


def load(path, *given, **shapes):
    return onnx_model.load(OnnxSpec(path, shapes, inputs=parse_inputs(given)), ENGINE)


def fed(workload, batch):
    """Return the shapes the model is fed for a batch."""
    return onnx_inputs.resolved_shapes(workload.inputs.declared, workload.spec.shapes, workload.inputs.arrays, batch)


def cast(path, element, shape):
    """Save a model that turns an input of any type into float32."""
    number = onnx.TensorProto.DataType.Value(element.upper())
    node = onnx.helper.make_node("Cast", ["x"], ["y"], to=FLOAT)
    return save(path, [node], [value("x", shape, number)], [value("y", None)], opset=21)
