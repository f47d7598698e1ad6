"""Builds an ONNX graph node by node, with its weights outside the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from agent.workloads.transformer.onnx_quantization import int4_blocks, int8_columns, uint8_range
from agent.workloads.transformer.sizes import INT4_BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agent.workloads.transformer.sizes import Precision

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64

# Every supported onnxruntime has this opset, and it has LayerNormalization.
_OPSET, _IR_VERSION = 17, 8

_MICROSOFT = "com.microsoft"

# MatMulNBits may round activations to 8 bits within each block of 32 inputs, which its fastest kernels on CPUs do.
_INT8_ACTIVATIONS = 4

Ranges = Mapping[str, tuple[float, float]]
"""The lowest and the highest value of the activations that are multiplied with each matrix, by its name."""


class Graph:
    """An ONNX graph under construction.

    Every method that adds a node returns the name of its output, an input of later nodes. `weights` are external: the
    model names them, and the loader passes them to the engine. A model can thus exceed the 2 GB of a protobuf, and
    nothing is written to a disk. With `observed`, the ranges of activations are outputs. int8_static needs them as
    `ranges`.
    """

    def __init__(self, precision: Precision, ranges: Ranges | None = None, *, observed: bool = False) -> None:
        self.precision = precision
        self.ranges = {} if ranges is None else ranges
        self.observed = observed
        self.range_names: list[str] = []
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

    def split(self, value: str, sizes: Sequence[int]) -> Sequence[str]:
        """Split a tensor into parts of these sizes along its last axis."""
        return self.ops("Split", [value, self.integers(*sizes)], self.names(len(sizes)), axis=-1)

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
        """Multiply by a weight matrix [inputs, outputs] in the precision of the graph.

        The matrix is symmetric: int8 has one scale per column, int4 one per block. int8 and int8_static round
        activations to 8 bits with one scale and zero point per tensor: that of the tensor at run time, or that of the
        given range.
        """
        if self.observed:
            self._observe(value, name)
        if self.precision == "int8":
            return self._dynamic_int8(value, name, matrix)
        if self.precision == "int8_static":
            return self._static_int8(value, name, matrix)
        if self.precision == "int4":
            return self._int4(value, name, matrix)
        return self.op("MatMul", value, self.weight(name, matrix))

    def _dynamic_int8(self, value: str, name: str, matrix: NDArray[np.float32]) -> str:
        codes, scales = int8_columns(matrix)
        rows, scale, zero = self.ops("DynamicQuantizeLinear", [value], self.names(3))
        product = self.op("MatMulInteger", rows, self._external(name, codes), zero)
        column_scales = self._external(f"{name}_scale", scales)
        return self.op("Mul", self.op("Cast", product, to=FLOAT), self.op("Mul", scale, column_scales))

    def _static_int8(self, value: str, name: str, matrix: NDArray[np.float32]) -> str:
        """The engine computes the pair of DequantizeLinear and their MatMul in 8 bits."""
        codes, scales = int8_columns(matrix)
        width, zero_point = uint8_range(*self.ranges[name])
        scale, zero = self.constant(width), self._constant(np.array(zero_point, np.uint8))
        rows = self.op("QuantizeLinear", value, scale, zero)
        columns = [self._external(name, codes), self._external(f"{name}_scale", scales)]
        zeros = self._constant(np.zeros(len(scales), np.int8))
        return self.op(
            "MatMul",
            self.op("DequantizeLinear", rows, scale, zero),
            self.op("DequantizeLinear", *columns, zeros, axis=1),
        )

    def _int4(self, value: str, name: str, matrix: NDArray[np.float32]) -> str:
        codes, scales = int4_blocks(matrix)
        inputs, outputs = matrix.shape
        return self.op(
            "MatMulNBits",
            *(value, self._external(name, codes), self._external(f"{name}_scale", scales)),
            domain=_MICROSOFT,
            K=inputs,
            N=outputs,
            bits=4,
            block_size=INT4_BLOCK,
            accuracy_level=_INT8_ACTIVATIONS,
        )

    def _observe(self, value: str, name: str) -> None:
        """Add outputs with the range of a tensor, 0 included: an expert that no token passes has an empty one."""
        flat = self.op("Reshape", value, self.integers(-1))
        filled = self.op("Concat", flat, self._constant(np.zeros(1, self.element)), axis=0)
        for kind, end in (("ReduceMin", "low"), ("ReduceMax", "high")):
            self.output(self.op(kind, filled, called=f"{name}_{end}", keepdims=0), self.element, [])
        self.range_names.append(name)

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
        opsets = [helper.make_opsetid("", _OPSET)]
        opsets += [helper.make_opsetid(_MICROSOFT, 1)] if self.precision == "int4" else []
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="inferometer")
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

    def names(self, count: int) -> list[str]:
        """Return names for the outputs of a node."""
        return [self._name() for _ in range(count)]

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"
