"""Builds an ONNX graph node by node, with its weights outside the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agent.workloads.transformer.spec import Precision

FLOAT = onnx.TensorProto.FLOAT

# Every supported onnxruntime has this opset, and it has LayerNormalization.
_OPSET, _IR_VERSION = 17, 8

# Seven bits, because x86 without VNNI adds two 8-bit products in 16 bits, which 2 * 255 * 127 overflows.
_INT8_RANGE = 63


class Graph:
    """An ONNX graph under construction.

    Every method that adds a node returns the name of its output, an input of later nodes. `weights` are external: the
    model names them, and the loader passes them to the engine. A model can thus exceed the 2 GB of a protobuf, and
    nothing is written to a disk.
    """

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.element = np.dtype(np.float16 if precision == "fp16" else np.float32)
        self.weights: dict[str, NDArray[Any]] = {}
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._names = 0

    def op(self, kind: str, *inputs: str, called: str = "", **attributes: Any) -> str:
        """Add a node with one output, with the name `called` if given."""
        return self.ops(kind, inputs, [called or self._name()], **attributes)[0]

    def split(self, value: str, parts: int) -> Sequence[str]:
        """Split a tensor into equal parts along its last axis."""
        return self.ops("Split", [value], [self._name() for _ in range(parts)], axis=-1)

    def ops(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Sequence[str]:
        """Add a node with the outputs named."""
        self._nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def integers(self, *values: int) -> str:
        """Add a one-dimensional int64 constant: a shape, an axis, a count."""
        return self._constant(np.array(values, np.int64))

    def constant(self, values: NDArray[Any] | float) -> str:
        """Add a number or a fixed table in the precision of the graph; it does not count as a weight."""
        return self._constant(np.asarray(values, self.element))

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """Add a weight in the precision of the graph."""
        return self._external(name, values.astype(self.element, copy=False))

    def linear(self, value: str, name: str, matrix: NDArray[np.float32]) -> str:
        """Multiply by a weight matrix [inputs, outputs]; with int8, activations are quantized at run time.

        Matrices are symmetric with one scale per column; activations have one scale and zero point per tensor.
        """
        if self.precision != "int8":
            return self.op("MatMul", value, self.weight(name, matrix))
        scales = np.maximum(np.abs(matrix).max(axis=0), np.finfo(np.float32).tiny) / _INT8_RANGE
        columns = self._external(name, np.rint(matrix / scales).astype(np.int8))
        column_scales = self._external(f"{name}_scale", scales.astype(np.float32))
        rows, scale, zero = self.ops("DynamicQuantizeLinear", [value], [self._name() for _ in range(3)])
        product = self.op("MatMulInteger", rows, columns, zero)
        counted = self.op("Cast", product, to=FLOAT)
        return self.op("Mul", counted, self.op("Mul", scale, column_scales))

    def input(self, name: str, element: np.dtype[Any], shape: Sequence[str | int]) -> str:
        """Declare an input of the model; a size given as a name is open."""
        self._inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(element), shape))
        return name

    def output(self, name: str, element: np.dtype[Any], shape: Sequence[str | int]) -> None:
        """Declare an output of the model; the order of the calls is the order of the outputs."""
        self._outputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(element), shape))

    def serialized(self) -> bytes:
        """Return the model without its weights."""
        graph = helper.make_graph(self._nodes, "model", self._inputs, self._outputs, self._initializers)
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="inferometer")
        serialized: bytes = model.SerializeToString()
        return serialized

    def _constant(self, values: NDArray[Any]) -> str:
        name = self._name()
        self._initializers.append(numpy_helper.from_array(values, name))
        return name

    def _external(self, name: str, values: NDArray[Any]) -> str:
        element = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor = onnx.TensorProto(name=name, data_type=element, dims=values.shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="memory")
        self._initializers.append(tensor)
        self.weights[name] = np.ascontiguousarray(values)
        return name

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"
