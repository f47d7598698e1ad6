"""Builds a decoder-only transformer as one ONNX graph, for the prompt and for the tokens after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agent.workloads.transformer.onnx_graph import FLOAT, Graph
from agent.workloads.transformer.weights import weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.workloads.transformer.spec import TransformerSpec

_INT64 = np.dtype(np.int64)
_FLOAT32 = np.dtype(np.float32)

# The ratio of the fastest to the slowest rotation in RoFormer (Su et al. 2021, section 3.2.2).
_ROTARY_BASE = 10_000.0

# Added to the score of a masked token; it fits float16, and its exp is 0 beside any real score.
_MASKED = -30_000.0


@dataclass(frozen=True, slots=True)
class _LayerInputs:
    """The shared inputs of all layers: the mask [new, all], rotations [new, head width / 2], shapes and constants."""

    mask: str
    cosines: str
    sines: str
    split_heads: str
    join_heads: str
    score_scale: str


def build_decoder(spec: TransformerSpec) -> Graph:
    """Return the decoder with random weights, the same for the same spec.

    Inputs: `input_ids` [batch, new], and `past_key_i`, `past_value_i` [batch, heads, past, head width] of each layer,
    with past 0 for a prompt. Outputs: `logits` [batch, vocabulary] in float32 and `next_ids` [batch, 1], the
    likeliest token, both of the last position only; then `present_key_i`, `present_value_i`, the past with the new.
    So the outputs after `logits` are the inputs of the next step, in order. Raises MemoryError.
    """
    return _Decoder(spec).build()


class _Decoder:
    def __init__(self, spec: TransformerSpec) -> None:
        self.spec = spec
        self.graph = Graph(spec.precision)
        self.weights = weights_of(spec)

    def build(self) -> Graph:
        spec, graph = self.spec, self.graph
        graph.input("input_ids", _INT64, ["batch", "new"])
        for name in cache_names(spec, "past"):
            graph.input(name, graph.element, ["batch", spec.heads, "past", spec.head_width])
        stream, layer_inputs = self._embed_tokens()
        for layer in range(spec.layers):
            stream = graph.op(
                "Add", stream, self._attention(layer, self._normed(stream, f"norm_a_{layer}"), layer_inputs)
            )
            stream = graph.op("Add", stream, self._feed_forward(layer, self._normed(stream, f"norm_f_{layer}")))
        self._head(stream)
        for name in cache_names(spec, "present"):
            graph.output(name, graph.element, ["batch", spec.heads, "all", spec.head_width])
        return graph

    def _embed_tokens(self) -> tuple[str, _LayerInputs]:
        spec, graph = self.spec, self.graph
        past = graph.op("Shape", "past_key_0", start=2, end=3)
        total = graph.op("Add", past, graph.op("Shape", "input_ids", start=1, end=2))
        stream = graph.op("Gather", self._weight("embedding"), "input_ids")
        cosines = sines = ""
        if spec.positions == "learned":
            stream = graph.op("Add", stream, self._rows(self._weight("positions"), past, total))
        else:
            angles = rotation_angles(spec.context_tokens, spec.head_width)
            cosines = self._rows(graph.constant(np.cos(angles)), past, total)
            sines = self._rows(graph.constant(np.sin(angles)), past, total)
        return stream, _LayerInputs(
            mask=_causal_mask(graph, past, total),
            cosines=cosines,
            sines=sines,
            split_heads=graph.integers(0, 0, spec.heads, spec.head_width),
            join_heads=graph.integers(0, 0, spec.width),
            score_scale=graph.constant(spec.head_width**-0.5),
        )

    def _rows(self, table: str, start: str, end: str) -> str:
        return self.graph.op("Slice", table, start, end, self.graph.integers(0))

    def _attention(self, layer: int, normed: str, layer_inputs: _LayerInputs) -> str:
        spec, graph = self.spec, self.graph
        both = self._linear(normed, f"qkv_{layer}")
        query, key, value = (self._split_into_heads(part, layer_inputs) for part in graph.split(both, 3))
        if spec.positions == "rope":
            query, key = _apply_rotation(graph, query, layer_inputs), _apply_rotation(graph, key, layer_inputs)
        key = graph.op("Concat", f"past_key_{layer}", key, axis=2, called=f"present_key_{layer}")
        value = graph.op("Concat", f"past_value_{layer}", value, axis=2, called=f"present_value_{layer}")
        scaled = graph.op("Mul", query, layer_inputs.score_scale)
        scores = graph.op("MatMul", scaled, graph.op("Transpose", key, perm=[0, 1, 3, 2]))
        shares = graph.op("Softmax", graph.op("Add", scores, layer_inputs.mask), axis=-1)
        attended = graph.op("Transpose", graph.op("MatMul", shares, value), perm=[0, 2, 1, 3])
        joined = graph.op("Reshape", attended, layer_inputs.join_heads)
        return self._linear(joined, f"attention_out_{layer}")

    def _split_into_heads(self, value: str, layer_inputs: _LayerInputs) -> str:
        return self.graph.op("Transpose", self.graph.op("Reshape", value, layer_inputs.split_heads), perm=[0, 2, 1, 3])

    def _feed_forward(self, layer: int, normed: str) -> str:
        """Gated with SiLU (Shazeer 2020, "GLU Variants Improve Transformer")."""
        graph = self.graph
        both = self._linear(normed, f"gate_up_{layer}")
        gate, up = graph.split(both, 2)
        gated = graph.op("Mul", graph.op("Mul", gate, graph.op("Sigmoid", gate)), up)
        return self._linear(gated, f"down_{layer}")

    def _head(self, stream: str) -> None:
        spec, graph = self.spec, self.graph
        last_position = graph.op("Squeeze", graph.integers(-1))
        last = self._normed(graph.op("Gather", stream, last_position, axis=1), "norm_out")
        scores = self._linear(last, "head")
        logits = graph.op("Cast", scores, to=FLOAT, called="logits")
        # TopK, not ArgMax: the CUDA provider has no ArgMax of this opset, and would copy the logits to the host.
        graph.ops("TopK", [logits, graph.integers(1)], ["next_score", "next_ids"], axis=-1)
        graph.output("logits", _FLOAT32, ["batch", spec.vocabulary])
        graph.output("next_ids", _INT64, ["batch", 1])

    def _normed(self, value: str, name: str) -> str:
        return self.graph.op("LayerNormalization", value, self._weight(name), axis=-1, epsilon=1e-5)

    def _weight(self, name: str) -> str:
        """Add the next weight, which has this name: the graph is built in the order of the weights."""
        return self.graph.weight(name, self._next(name))

    def _linear(self, value: str, name: str) -> str:
        return self.graph.linear(value, name, self._next(name))

    def _next(self, name: str) -> NDArray[np.float32]:
        found, values = next(self.weights)
        if found != name:
            raise RuntimeError(f"the graph needs {name}, the next weight is {found}")
        return values


def _causal_mask(graph: Graph, past: str, total: str) -> str:
    """Return the mask: each new token attends to the past and to new tokens up to itself (0, else `_MASKED`)."""
    first, last = graph.op("Squeeze", past), graph.op("Squeeze", total)
    zero, one = (graph.op("Squeeze", graph.integers(number)) for number in (0, 1))
    new = graph.op("Unsqueeze", graph.op("Range", first, last, one), graph.integers(1))
    attended = graph.op("LessOrEqual", graph.op("Range", zero, last, one), new)
    return graph.op("Where", attended, graph.constant(0.0), graph.constant(_MASKED))


def _apply_rotation(graph: Graph, value: str, layer_inputs: _LayerInputs) -> str:
    """Rotate each pair (i, i + half) of a head by the angle of its position."""
    left, right = graph.split(value, 2)
    turned_left = graph.op(
        "Sub", graph.op("Mul", left, layer_inputs.cosines), graph.op("Mul", right, layer_inputs.sines)
    )
    turned_right = graph.op(
        "Add", graph.op("Mul", right, layer_inputs.cosines), graph.op("Mul", left, layer_inputs.sines)
    )
    return graph.op("Concat", turned_left, turned_right, axis=-1)


def cache_names(spec: TransformerSpec, when: str) -> list[str]:
    """Return the names of the cache tensors, `past` or `present`, in their order in the model."""
    return [f"{when}_{part}_{layer}" for layer in range(spec.layers) for part in ("key", "value")]


def rotation_angles(positions: int, head_width: int) -> NDArray[np.float64]:
    """Return the rotation angle of each pair at each position in radians: [positions, head_width / 2]."""
    pairs = np.arange(head_width // 2) * 2 / head_width
    return np.outer(np.arange(positions), _ROTARY_BASE**-pairs)
