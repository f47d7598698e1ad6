"""Converts the ONNX graph of a transformer to an OpenVINO model with its cache as state, and compresses its weights."""

from __future__ import annotations

import logging
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
from openvino import opset13
from openvino._offline_transformations import (
    apply_make_stateful_transformation,
    compress_model_transformation,
)

from agent.workloads.transformer.onnx_decoder import build_decoder, cache_names
from agent.workloads.transformer.onnx_weights import weights_as_inputs

if TYPE_CHECKING:
    from agent.workloads.transformer.onnx_graph import Graph
    from agent.workloads.transformer.spec import TransformerSpec

_COMPRESSED = ("int8", "int4")
_GROUPS = (128, 64, 32)
"""Rows of a column that share a scale in int4, the largest that fits first; NNCF's default is 128."""


def build_model(spec: TransformerSpec) -> tuple[Any, int]:
    """Return the model of a spec in its precision, and the bytes of its weights. Raises MemoryError.

    Inputs and outputs are those of the graph, but the cache is the state of the model, which is empty after a reset. A
    decoder has the further input `beam_idx` [batch]: the row of the cache that each request continues.
    """
    graph = build_decoder(replace(spec, precision="fp32"))
    model = _converted(graph)
    _fuse_attention(model, spec)
    if spec.kind == "decoder":
        _keep_cache_as_state(model, spec)
    fixed_bytes = _constant_bytes(model) - sum(values.nbytes for values in graph.weights.values())
    _compress(model, spec)
    compressed = spec.precision in _COMPRESSED
    return model, _constant_bytes(model) - fixed_bytes if compressed else spec.model_bytes()


def _converted(graph: Graph) -> Any:
    """Convert the graph; its weights are inputs during the conversion, so a model can exceed the 2 GB of a protobuf."""
    model = openvino.Core().read_model(weights_as_inputs(graph))
    for name, values in graph.weights.items():
        parameter = model.input(name).get_node()
        constant = opset13.constant(values, shared_memory=True)
        constant.set_friendly_name(name)
        parameter.output(0).replace(constant.output(0))
        model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()
    return model


def _fuse_attention(model: Any, spec: TransformerSpec) -> None:
    """Replace the products and the softmax of each attention by OpenVINO's operator for them.

    It scales the queries itself. Queries that share a head of keys and values are rows of one product in the graph; for
    the operator the heads are repeated, which a CPU does without a copy.
    """
    shared = spec.heads != spec.kv_heads
    masks: list[Any] = []
    for softmax in [each for each in model.get_ordered_ops() if _is_attention(each)]:
        product, scores = _consumer(softmax), softmax.input_value(0).get_node()
        if scores.get_type_name() == "Add":
            masks = masks or [_of_each_request(scores.input_value(1), model, shared=shared)]
            scores = scores.input_value(0).get_node()
        query, key, value = (
            scores.input_value(0),
            scores.input_value(1).get_node().input_value(0),
            product.input_value(1),
        )
        if shared:
            query, product = query.get_node().input_value(0), _consumer(product)
            key, value = _repeated(key, spec), _repeated(value, spec)
        unscaled = query.get_node().input_value(0)
        fused = opset13.scaled_dot_product_attention(unscaled, key, value, *masks)
        product.output(0).replace(fused.output(0))


def _of_each_request(mask: Any, model: Any, *, shared: bool) -> Any:
    """Return the mask [new, all] as [batch, 1, new, all].

    OpenVINO 2026.4 reads beyond the end of a mask for all requests if it computes in bf16.
    """
    rows = mask.get_node().input_value(0) if shared else mask
    shape = opset13.concat([_batch(model), opset13.constant([1, 1, 1])], 0)
    return opset13.broadcast(opset13.unsqueeze(rows, opset13.constant([0, 1])), shape, broadcast_spec="BIDIRECTIONAL")


def _batch(model: Any) -> Any:
    ids = model.input("input_ids")
    return opset13.gather(opset13.shape_of(ids), opset13.constant([0]), opset13.constant(0))


def _is_attention(operator: Any) -> bool:
    """Return whether an operator is the softmax of an attention; that of a mixture of experts feeds no product."""
    return bool(operator.get_type_name() == "Softmax") and _consumer(operator).get_type_name() == "MatMul"


def _consumer(operator: Any) -> Any:
    """Return one consumer of an operator; those of an attention have only one."""
    return next(iter(operator.output(0).get_target_inputs())).get_node()


def _repeated(heads: Any, spec: TransformerSpec) -> Any:
    """Repeat each head of keys or values [batch, kv heads, all, head width] for its queries, beside each other."""
    sizes = opset13.constant([1, 1, spec.heads // spec.kv_heads, 1, 1])
    copies = opset13.broadcast(opset13.unsqueeze(heads, opset13.constant([2])), sizes, broadcast_spec="BIDIRECTIONAL")
    return opset13.reshape(copies, opset13.constant([0, spec.heads, -1, spec.head_width]), special_zero=True).output(0)


def _keep_cache_as_state(model: Any, spec: TransformerSpec) -> None:
    """Replace the inputs and outputs of the cache by states.

    OpenVINO's attention updates a cache in place if its state is read through a Gather of the rows to continue.
    """
    rows = opset13.parameter([-1], np.int32, name="beam_idx")
    rows.output(0).set_names({"beam_idx"})
    axis = opset13.constant(np.int64(0))
    pasts = cache_names(spec, "past")
    for name in pasts:
        past = model.input(name)
        consumers = [each for each in past.get_target_inputs() if each.get_node().get_type_name() == "Concat"]
        gathered = opset13.gather(past, rows, axis)
        for each in consumers:
            each.replace_source_output(gathered.output(0))
    model.add_parameters([rows])
    pairs = dict(zip(pasts, cache_names(spec, "present"), strict=True))
    apply_make_stateful_transformation(model, pairs)
    _begin_empty(model, spec)


def _begin_empty(model: Any, spec: TransformerSpec) -> None:
    """Give each state its value after a reset: no token of each request."""
    batch = _batch(model)
    for operator in model.get_ops():
        if operator.get_type_name() == "ReadValue":
            sizes = [batch, *(opset13.constant([size]) for size in (spec.kv_heads, 0, spec.head_width))]
            shape = opset13.concat(sizes, 0)
            operator.set_arguments([opset13.broadcast(opset13.constant(np.float32(0)), shape)])
    model.validate_nodes_and_infer_types()


def _compress(model: Any, spec: TransformerSpec) -> None:
    if spec.precision == "fp16":
        compress_model_transformation(model)
    elif spec.precision in _COMPRESSED:
        import nncf  # noqa: PLC0415  slow, and only these precisions need it

        nncf.set_log_level(logging.ERROR)
        mode = nncf.CompressWeightsMode
        with redirect_stdout(StringIO()):  # a bar of its progress
            if spec.precision == "int8":
                nncf.compress_weights(model, mode=mode.INT8_SYM)
            else:
                nncf.compress_weights(model, mode=mode.INT4_SYM, group_size=group_size(spec))


def group_size(spec: TransformerSpec) -> int:
    """Return the number of weights that share a scale in int4: -1 for a whole column."""
    return next((size for size in _GROUPS if spec.width % size == 0 and spec.mlp_width % size == 0), -1)


def _constant_bytes(model: Any) -> int:
    return sum(each.get_byte_size() for each in model.get_ops() if each.get_type_name() == "Constant")
