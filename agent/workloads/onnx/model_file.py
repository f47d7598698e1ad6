"""The facts of an ONNX file: parameters, bytes and precision, counted from the stored bytes."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import DecodeError

from agent.workloads.onnx.external_files import ExternalFiles
from agent.workloads.onnx.inputs import DeclaredInput
from agent.workloads.onnx.model_path import open_model, unsupported_format_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Element types of weights, with their bits; tensors of other types are shapes and indices, not parameters.
_PRECISIONS = {
    "FLOAT": ("fp32", 32),
    "DOUBLE": ("fp64", 64),
    "FLOAT16": ("fp16", 16),
    "BFLOAT16": ("bf16", 16),
    "INT8": ("int8", 8),
    "UINT8": ("int8", 8),
    "INT4": ("int4", 4),
    "UINT4": ("int4", 4),
    "FLOAT8E4M3FN": ("fp8", 8),
    "FLOAT8E4M3FNUZ": ("fp8", 8),
    "FLOAT8E5M2": ("fp8", 8),
    "FLOAT8E5M2FNUZ": ("fp8", 8),
    "FLOAT4E2M1": ("fp4", 4),
}
_TYPE_NAMES = {number: name for name, number in onnx.TensorProto.DataType.items()}
_BYTE_BITS = 8


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The facts of a model. `model_bytes` includes its external files, `sha256` does not.

    `precision` is the type of most bytes of the parameters, None without parameters. `external_bytes` is the size of
    the weights in external files. `inputs` are those that a run must give.
    """

    parameters: int
    model_bytes: int
    external_bytes: int
    precision: str | None
    sha256: str
    inputs: tuple[DeclaredInput, ...]


def read_model_file(path: Path) -> ModelFile:
    """Check and read a model file before the engine opens it; external files are only checked.

    Raises WorkloadError that names the cause.
    """
    with open_model(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        try:
            model = onnx.load_model(file, format="protobuf", load_external_data=False)
        except (DecodeError, ValueError) as error:
            raise unsupported_format_error(path) from error
        size = file.tell()
    if not model.HasField("graph"):
        raise unsupported_format_error(path)
    externals = ExternalFiles(path)
    parameters, bits = 0, Counter[str]()
    for tensor in _tensors(model):
        stored_bytes = externals.bytes_of(tensor) if tensor.data_location == onnx.TensorProto.EXTERNAL else None
        known = _PRECISIONS.get(_TYPE_NAMES.get(tensor.data_type, ""))
        if known is not None:
            count = _elements(tensor, known[1], stored_bytes)
            parameters += count
            bits[known[0]] += count * known[1]
    precision = bits.most_common(1)[0][0] if parameters else None
    inputs = tuple(_inputs(model.graph))
    return ModelFile(parameters, size + externals.file_bytes, externals.used_bytes, precision, digest, inputs)


def load_whole_model(path: Path) -> Any:
    """Return the model of a checked file, with the weights of its external files, which may be links."""
    model = onnx.load_model(path, load_external_data=False)
    externals = ExternalFiles(path)
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            externals.load(tensor)
    return model


def _inputs(graph: Any) -> Iterator[DeclaredInput]:
    """Yield the inputs without a default; old versions of ONNX list the weights among the inputs."""
    weights = {tensor.name for tensor in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
    for value in graph.input:
        if value.name not in weights:
            tensor = value.type.tensor_type
            sizes = tuple(map(_size, tensor.shape.dim)) if tensor.HasField("shape") else None
            yield DeclaredInput(value.name, _type(value.type), sizes)


def _size(dimension: Any) -> int | str:
    known = dimension.HasField("dim_value") and dimension.dim_value >= 0
    return int(dimension.dim_value) if known else str(dimension.dim_param)


def _type(declared: Any) -> str:
    """Return a type in the words of the engine: `tensor(float)`, `seq(tensor(int64))`."""
    kind = declared.WhichOneof("value") or "unknown"
    own: Any = getattr(declared, kind, None)
    name = kind.removesuffix("_type").replace("sequence", "seq")
    if kind in {"tensor_type", "sparse_tensor_type"}:
        inner = _TYPE_NAMES.get(own.elem_type, "unknown").lower()
    elif kind == "map_type":
        inner = f"{_TYPE_NAMES.get(own.key_type, 'unknown').lower()},{_type(own.value_type)}"
    else:
        inner = _type(own.elem_type) if hasattr(own, "elem_type") else ""
    return f"{name}({inner})"


def _elements(tensor: Any, bits: int, external_bytes: int | None) -> int:
    """Return the number of elements of a tensor: the declared number, limited by its stored bytes."""
    declared = prod(tensor.dims) if min(tensor.dims, default=1) > 0 else 0
    if external_bytes is not None:
        return min(declared, external_bytes * _BYTE_BITS // bits)
    if tensor.raw_data:
        return min(declared, len(tensor.raw_data) * _BYTE_BITS // bits)
    entries = max(len(tensor.float_data), len(tensor.int32_data), len(tensor.int64_data), len(tensor.double_data))
    return min(declared, entries * max(_BYTE_BITS // bits, 1))


def _tensors(model: Any) -> Iterator[Any]:
    """Yield every constant tensor: initializers, dense and sparse, constant nodes, and those of inner graphs."""
    yield from model.graph.initializer
    yield from (sparse.values for sparse in model.graph.sparse_initializer)
    waiting = [model.graph.node, *(function.node for function in model.functions)]
    for nodes in waiting:
        for attribute in (attribute for node in nodes for attribute in node.attribute):
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
                yield attribute.sparse_tensor.values
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from inner.initializer
                yield from (sparse.values for sparse in inner.sparse_initializer)
                waiting.append(inner.node)
