"""The mixture of experts in an ONNX graph: each expert computes the tokens that chose it, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.workloads.transformer.onnx_graph import INT64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.workloads.transformer.onnx_graph import Graph


def mix_experts(
    graph: Graph, value: str, scores: str, experts: Sequence[Callable[[str], str]], active: int, width: int
) -> str:
    """Return the outputs of each token's `active` best experts, weighted by the softmax of their scores and added.

    `value` is [batch, new, width] and `scores` [batch, new, experts]. Each expert adds its nodes for tokens [n, width],
    where n is 0 if no token chose it. The tokens are sorted by expert before, and by token after.
    """
    tokens = graph.op("Reshape", value, graph.integers(-1, width))
    best, chosen = graph.ops("TopK", [scores, graph.integers(active)], graph.names(2), axis=-1)
    shares = graph.op("Reshape", graph.op("Softmax", best, axis=-1), graph.integers(-1, 1))
    expert_of = graph.op("Reshape", chosen, graph.integers(-1))
    order = _sorting(graph, expert_of)
    rows = graph.op("Gather", tokens, graph.op("Div", order, graph.integers(active)), axis=0)
    starts, ends = _ranges(graph, expert_of, len(experts))
    outputs = [
        expert(graph.op("Slice", rows, start, end, graph.integers(0)))
        for expert, start, end in zip(experts, starts, ends, strict=True)
    ]
    weighted = graph.op("Mul", graph.op("Concat", *outputs, axis=0), graph.op("Gather", shares, order, axis=0))
    restored = graph.op("Gather", weighted, _sorting(graph, order), axis=0)
    by_token = graph.op("Reshape", restored, graph.integers(-1, active, width))
    added = graph.op("ReduceSum", by_token, graph.integers(1), keepdims=0)
    return graph.op("Reshape", added, graph.op("Shape", value))


def _sorting(graph: Graph, keys: str) -> str:
    """Return the positions of the keys [n] in ascending order."""
    return graph.ops("TopK", [keys, graph.op("Shape", keys)], graph.names(2), axis=0, largest=0)[1]


def _ranges(graph: Graph, expert_of: str, experts: int) -> tuple[Sequence[str], Sequence[str]]:
    """Return the first row of each expert in the sorted rows, and the one after its last row."""
    column = graph.op("Unsqueeze", expert_of, graph.integers(1))
    chosen = graph.op("Cast", graph.op("Equal", column, graph.integers(*range(experts))), to=INT64)
    counts = graph.op("ReduceSum", chosen, graph.integers(0), keepdims=0)
    ends = graph.op("CumSum", counts, graph.integers(0))
    return graph.split(graph.op("Sub", ends, counts), [1] * experts), graph.split(ends, [1] * experts)
