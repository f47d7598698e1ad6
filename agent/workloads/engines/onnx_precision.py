"""Asks ONNX Runtime in which precision its CPU kernels multiply matrices of 16 bits."""

from __future__ import annotations

from functools import cache
from importlib import import_module

import numpy as np
import onnx
from onnx import helper, numpy_helper

from agent.runtime.private_folder import private_folder
from agent.workloads.engines.onnxruntime import ENGINE

_SIDE = 8
_TYPES = {onnx.TensorProto.FLOAT16: "fp16", onnx.TensorProto.FLOAT: "fp32"}


@cache
def fp16_computes_in() -> str | None:
    """Return `fp16`, or `fp32` if the engine converts matrices while it loads a model, None if it is neither.

    The engine optimizes a product with one matrix and writes the result to a file, which shows the type of the matrix.
    """
    # Here, since the import above must come first: it turns the telemetry of the engine off.
    onnxruntime = import_module(ENGINE)
    shape = ["rows", _SIDE]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT16, shape) for name in ("x", "product")]
    matrix = numpy_helper.from_array(np.ones((_SIDE, _SIDE), np.float16), "matrix")
    node = helper.make_node("MatMul", ["x", "matrix"], ["product"])
    graph = helper.make_graph([node], "probe", values[:1], values[1:], [matrix])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with private_folder() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(folder / "optimized.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        optimized = onnx.load(options.optimized_model_filepath)
    types = {_TYPES.get(each.data_type) for each in optimized.graph.initializer if len(each.dims) > 1}
    return types.pop() if len(types) == 1 else None
