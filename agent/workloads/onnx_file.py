"""What an ONNX file says of itself: how many parameters, how many bytes, in which precision."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Element types that weights come in, with their bits; tensors of others are shapes and indices, not parameters.
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


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`model_bytes` counts the file and the external files it names, `sha256` is that of the file alone.

    `precision` is the type that holds most bytes of the parameters, None if there are none.
    """

    parameters: int
    model_bytes: int
    precision: str | None
    sha256: str


def read_model_facts(path: Path) -> ModelFacts:
    """Read the facts of a model the engine has loaded; its external files are sized, not read."""
    model = onnx.load(path, load_external_data=False)
    parameters, bits = 0, Counter[str]()
    externals: set[str] = set()
    for tensor in _tensors(model.graph):
        externals.update(entry.value for entry in tensor.external_data if entry.key == "location")
        known = _PRECISIONS.get(onnx.TensorProto.DataType.Name(tensor.data_type))
        if known is not None:
            count = prod(tensor.dims)
            parameters += count
            bits[known[0]] += count * known[1]
    sizes = [(path.parent / name).stat().st_size for name in externals]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    precision = bits.most_common(1)[0][0] if parameters else None
    return ModelFacts(parameters, path.stat().st_size + sum(sizes), precision, digest)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every constant tensor of a graph: initializers, dense and sparse, constant nodes, and those of graphs inside."""
    yield from graph.initializer
    yield from (sparse.values for sparse in graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
