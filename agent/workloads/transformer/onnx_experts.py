"""The mixture of experts in an ONNX graph: each expert computes the tokens that chose it, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.workloads.transformer.onnx_graph import Graph


def mix_experts(
    graph: Graph, value: str, scores: str, experts: Sequence[Callable[[str], str]], active: int, width: int
) -> str:
    """Return the outputs of each token's `active` best experts, weighted by the softmax of their scores and added.

    `value` is [batch, new, width] and `scores` [batch, new, experts]. Each expert adds its nodes for tokens [n, width],
    where n is 0 if no token chose it.
    """
    tokens = graph.op("Reshape", value, graph.integers(-1, width))
    each_score = graph.op("Reshape", scores, graph.integers(-1, len(experts)))
    best, chosen = graph.ops("TopK", [each_score, graph.integers(active)], graph.names(2), axis=-1)
    shares = graph.op("Softmax", best, axis=-1)
    rows, outputs = [], []
    for number, expert in enumerate(experts):
        places = graph.op(
            "Transpose", graph.op("NonZero", graph.op("Equal", chosen, graph.integers(number))), perm=[1, 0]
        )
        row, _ = graph.split(places, (1, 1))
        output = expert(graph.op("GatherND", tokens, row))
        share = graph.op("Unsqueeze", graph.op("GatherND", shares, places), graph.integers(1))
        outputs.append(graph.op("Mul", output, share))
        rows.append(row)
    # Sorted by token, each token's outputs stand together. ScatterND could add them, but not in fp16 on the CPU.
    row = graph.op("Squeeze", graph.op("Concat", *rows, axis=0), graph.integers(1))
    _, order = graph.ops("TopK", [row, graph.op("Shape", row)], graph.names(2), axis=0, largest=0)
    sorted_outputs = graph.op("Gather", graph.op("Concat", *outputs, axis=0), order, axis=0)
    by_token = graph.op("Reshape", sorted_outputs, graph.integers(-1, active, width))
    added = graph.op("ReduceSum", by_token, graph.integers(1), keepdims=0)
    return graph.op("Reshape", added, graph.op("Shape", value))
