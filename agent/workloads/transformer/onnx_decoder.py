"""Builds a transformer as one ONNX graph: a decoder for the prompt and for the tokens after it, or an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from agent.workloads.transformer.onnx_experts import mix_experts
from agent.workloads.transformer.onnx_graph import FLOAT, Graph
from agent.workloads.transformer.positions import rotation_angles
from agent.workloads.transformer.sizes import QUANTIZED
from agent.workloads.transformer.weights import feed_forwards, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.workloads.transformer.onnx_graph import Ranges
    from agent.workloads.transformer.spec import TransformerSpec

_INT64 = np.dtype(np.int64)
_FLOAT32 = np.dtype(np.float32)

# Added to the score of a masked token; it fits float16, and its exp is 0 beside any real score.
_MASKED = -30_000.0


@dataclass(frozen=True, slots=True)
class _LayerInputs:
    """The shared inputs of all layers: the mask, the rotations [new, head width / 2], and a constant.

    The mask is [heads per key and value head * new, all], empty for an encoder.
    """

    mask: str
    cosines: str
    sines: str
    score_scale: str


def build_decoder(spec: TransformerSpec, ranges: Ranges | None = None, *, observed: bool = False) -> Graph:
    """Return a decoder with random weights, the same for the same spec.

    Inputs: `input_ids` [batch, new], and `past_key_i`, `past_value_i` [batch, kv heads, past, head width] of each
    layer, with past 0 for a prompt. Outputs: `logits` [batch, vocabulary] in float32 and `next_ids` [batch, 1], the
    likeliest token, both of the last position only; then `present_key_i`, `present_value_i`, the past with the new.
    So the outputs after `logits` are the inputs of the next step, in order. An encoder has the input `input_ids` alone,
    and the output `pooled` [batch, width] in float32, the mean over the positions. For `ranges` and `observed` see
    `Graph`. Raises MemoryError.
    """
    return _Decoder(spec, Graph(spec.precision, ranges, observed=observed)).build()


class _Decoder:
    def __init__(self, spec: TransformerSpec, graph: Graph) -> None:
        self.spec = spec
        self.graph = graph
        self.weights = weights_of(spec)
        self.table: NDArray[np.float32] | None = None

    def build(self) -> Graph:
        spec, graph = self.spec, self.graph
        graph.input("input_ids", _INT64, ["batch", "new"])
        for name in cache_names(spec, "past"):
            graph.input(name, graph.element, ["batch", spec.kv_heads, "past", spec.head_width])
        stream, layer_inputs = self._embed_tokens()
        for layer in range(spec.layers):
            stream = graph.op(
                "Add", stream, self._attention(layer, self._normed(stream, f"norm_a_{layer}"), layer_inputs)
            )
            stream = graph.op("Add", stream, self._feed_forward(layer, self._normed(stream, f"norm_f_{layer}")))
        if spec.kind == "encoder":
            self._pool(stream)
        else:
            self._head(stream)
        for name in cache_names(spec, "present"):
            graph.output(name, graph.element, ["batch", spec.kv_heads, "all", spec.head_width])
        return graph

    def _embed_tokens(self) -> tuple[str, _LayerInputs]:
        spec, graph = self.spec, self.graph
        decoder = spec.kind == "decoder"
        past = graph.op("Shape", "past_key_0", start=2, end=3) if decoder else graph.integers(0)
        total = graph.op("Add", past, graph.op("Shape", "input_ids", start=1, end=2))
        table = self._next("embedding")
        self.table = table if spec.tied else None
        stream = graph.op("Gather", graph.weight("embedding", table), "input_ids")
        cosines = sines = ""
        if spec.positions == "learned":
            stream = graph.op("Add", stream, self._rows(self._weight("positions"), past, total))
        else:
            angles = rotation_angles(spec.context_tokens, spec.head_width)
            cosines = self._rows(graph.constant(np.cos(angles)), past, total)
            sines = self._rows(graph.constant(np.sin(angles)), past, total)
        return stream, _LayerInputs(
            mask=_causal_mask(graph, past, total, spec.heads // spec.kv_heads) if decoder else "",
            cosines=cosines,
            sines=sines,
            score_scale=graph.constant(spec.head_width**-0.5),
        )

    def _rows(self, table: str, start: str, end: str) -> str:
        return self.graph.op("Slice", table, start, end, self.graph.integers(0))

    def _attention(self, layer: int, normed: str, layer_inputs: _LayerInputs) -> str:
        """Attend; queries that share a head of keys and values are the rows of one product, so nothing is copied."""
        spec, graph = self.spec, self.graph
        widths = [heads * spec.head_width for heads in (spec.heads, spec.kv_heads, spec.kv_heads)]
        query, key, value = graph.split(self._linear(normed, f"qkv_{layer}"), widths)
        query = self._by_head(query, spec.heads)
        key, value = self._by_head(key, spec.kv_heads), self._by_head(value, spec.kv_heads)
        if spec.positions == "rope":
            half = spec.head_width // 2
            query, key = (_apply_rotation(graph, part, layer_inputs, half) for part in (query, key))
        if spec.kind == "decoder":
            key = graph.op("Concat", f"past_key_{layer}", key, axis=2, called=f"present_key_{layer}")
            value = graph.op("Concat", f"past_value_{layer}", value, axis=2, called=f"present_value_{layer}")
        scaled = self._grouped(graph.op("Mul", query, layer_inputs.score_scale))
        scores = graph.op("MatMul", scaled, graph.op("Transpose", key, perm=[0, 1, 3, 2]))
        masked = graph.op("Add", scores, layer_inputs.mask) if layer_inputs.mask else scores
        attended = self._ungrouped(graph.op("MatMul", graph.op("Softmax", masked, axis=-1), value))
        joined = graph.op(
            "Reshape", graph.op("Transpose", attended, perm=[0, 2, 1, 3]), graph.integers(0, 0, widths[0])
        )
        return self._linear(joined, f"attention_out_{layer}")

    def _by_head(self, value: str, heads: int) -> str:
        """Return [batch, heads, new, head width] of [batch, new, heads * head width]."""
        graph = self.graph
        split = graph.op("Reshape", value, graph.integers(0, 0, heads, self.spec.head_width))
        return graph.op("Transpose", split, perm=[0, 2, 1, 3])

    def _grouped(self, query: str) -> str:
        """Return [batch, kv heads, heads per kv head * new, head width] of [batch, heads, new, head width]."""
        spec, graph = self.spec, self.graph
        if spec.kv_heads == spec.heads:
            return query
        return graph.op("Reshape", query, graph.integers(0, spec.kv_heads, -1, spec.head_width))

    def _ungrouped(self, attended: str) -> str:
        """Return [batch, heads, new, head width] of [batch, kv heads, heads per kv head * new, head width]."""
        spec, graph = self.spec, self.graph
        if spec.kv_heads == spec.heads:
            return attended
        return graph.op("Reshape", attended, graph.integers(0, spec.heads, -1, spec.head_width))

    def _feed_forward(self, layer: int, normed: str) -> str:
        spec, graph = self.spec, self.graph
        if spec.experts == 1:
            return self._expert(str(layer), normed)
        scores = graph.op("MatMul", normed, self._weight(f"router_{layer}"))
        experts = [partial(self._expert, suffix) for suffix in feed_forwards(spec, layer)]
        return mix_experts(graph, normed, scores, experts, spec.active_experts, spec.width)

    def _expert(self, suffix: str, normed: str) -> str:
        """Gated with SiLU (Shazeer 2020, "GLU Variants Improve Transformer"), or GELU (Hendrycks and Gimpel 2016)."""
        spec, graph = self.spec, self.graph
        if spec.mlp == "gated":
            gate, up = graph.split(self._linear(normed, f"gate_up_{suffix}"), [spec.mlp_width] * 2)
            inner = graph.op("Mul", graph.op("Mul", gate, graph.op("Sigmoid", gate)), up)
        else:
            up = self._linear(normed, f"up_{suffix}")
            below = graph.op("Erf", graph.op("Div", up, graph.constant(2**0.5)))
            twice = graph.op("Mul", up, graph.op("Add", below, graph.constant(1.0)))
            inner = graph.op("Mul", twice, graph.constant(0.5))
        return self._linear(inner, f"down_{suffix}")

    def _head(self, stream: str) -> None:
        spec, graph = self.spec, self.graph
        last_position = graph.op("Squeeze", graph.integers(-1))
        last = self._normed(graph.op("Gather", stream, last_position, axis=1), "norm_out")
        if self.table is None:
            scores = self._linear(last, "head")
        elif spec.precision in QUANTIZED or graph.observed:
            scores = graph.linear(last, "head", self.table.T)
        else:
            scores = graph.op("Gemm", last, "embedding", transB=1)
        logits = graph.op("Cast", scores, to=FLOAT, called="logits")
        # TopK, not ArgMax: the CUDA provider has no ArgMax of this opset, and would copy the logits to the host.
        graph.ops("TopK", [logits, graph.integers(1)], ["next_score", "next_ids"], axis=-1)
        graph.output("logits", _FLOAT32, ["batch", spec.vocabulary])
        graph.output("next_ids", _INT64, ["batch", 1])

    def _pool(self, stream: str) -> None:
        graph = self.graph
        mean = graph.op("ReduceMean", self._normed(stream, "norm_out"), axes=[1], keepdims=0)
        graph.op("Cast", mean, to=FLOAT, called="pooled")
        graph.output("pooled", _FLOAT32, ["batch", self.spec.width])

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


def _causal_mask(graph: Graph, past: str, total: str, copies: int) -> str:
    """Return the mask: each new token attends to the past and to new tokens up to itself (0, else `_MASKED`).

    It has the rows of all new tokens `copies` times.
    """
    first, last = graph.op("Squeeze", past), graph.op("Squeeze", total)
    zero, one = (graph.op("Squeeze", graph.integers(number)) for number in (0, 1))
    new = graph.op("Unsqueeze", graph.op("Range", first, last, one), graph.integers(1))
    attended = graph.op("LessOrEqual", graph.op("Range", zero, last, one), new)
    mask = graph.op("Where", attended, graph.constant(0.0), graph.constant(_MASKED))
    return mask if copies == 1 else graph.op("Tile", mask, graph.integers(copies, 1))


def _apply_rotation(graph: Graph, value: str, layer_inputs: _LayerInputs, half: int) -> str:
    """Rotate each pair (i, i + half) of a head by the angle of its position."""
    left, right = graph.split(value, [half, half])
    turned_left = graph.op(
        "Sub", graph.op("Mul", left, layer_inputs.cosines), graph.op("Mul", right, layer_inputs.sines)
    )
    turned_right = graph.op(
        "Add", graph.op("Mul", right, layer_inputs.cosines), graph.op("Mul", left, layer_inputs.sines)
    )
    return graph.op("Concat", turned_left, turned_right, axis=-1)


def cache_names(spec: TransformerSpec, when: str) -> list[str]:
    """Return the names of the cache tensors, `past` or `present`, in their order in the model; an encoder has none."""
    layers = range(spec.layers if spec.kind == "decoder" else 0)
    return [f"{when}_{part}_{layer}" for layer in layers for part in ("key", "value")]
