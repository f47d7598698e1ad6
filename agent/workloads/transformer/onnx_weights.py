"""Passes the weights of an ONNX graph to engines that do not take them from memory: as inputs, or as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx

if TYPE_CHECKING:
    from pathlib import Path

    from agent.workloads.transformer.onnx_graph import Graph

_WEIGHTS = "weights.bin"


def weights_as_inputs(graph: Graph) -> bytes:
    """Return the model of a graph with an input for each weight, under its name."""
    model = onnx.load_from_string(graph.serialized())
    weights = _weights_in(model)
    inner = [each for each in model.graph.initializer if each.name not in graph.weights]
    model.graph.input.extend(onnx.helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in weights)
    del model.graph.initializer[:]
    model.graph.initializer.extend(inner)
    serialized: bytes = model.SerializeToString()
    return serialized


def write_weights(model: Any, graph: Graph, folder: Path) -> None:
    """Write the weights of a graph to a file in a folder, and set their places in its model. Raises OSError."""
    with (folder / _WEIGHTS).open("wb") as file:
        for tensor in _weights_in(model):
            values = graph.weights[tensor.name]
            place = {"location": _WEIGHTS, "offset": str(file.tell()), "length": str(values.nbytes)}
            del tensor.external_data[:]
            for key, value in place.items():
                tensor.external_data.add(key=key, value=value)
            values.tofile(file)


def _weights_in(model: Any) -> list[Any]:
    return [each for each in model.graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
