"""The random weights of a transformer, the same for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from agent.workloads.transformer.spec import TransformerSpec

_POSITION_SCALE = 0.1


def weights_of(spec: TransformerSpec) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the weights of a spec by name, each in fp32, always in the same order; matrices are [inputs, outputs].

    With H = `heads * head_width`, K = `kv_heads * head_width` and M = `mlp_width`:

    - `embedding` [vocabulary, width], and `positions` [context, width] if they are learned;
    - for each layer i `norm_a_i` [width], `qkv_i` [width, H + 2 K] (queries, keys, values; query head h reads the keys
      and values of head h * kv_heads // heads), `attention_out_i` [H, width], `norm_f_i` [width], the feed-forward;
    - of a gated feed-forward `gate_up_i` [width, 2 M] (gate, up), of a plain one `up_i` [width, M]; then `down_i`
      [M, width];
    - of a mixture of experts `router_i` [width, experts], and then the feed-forward of each expert e, with the names
      `gate_up_i_e` or `up_i_e`, and `down_i_e`. A token passes the `active_experts` with the highest router scores; the
      softmax of these scores are their shares;
    - `norm_out` [width], and of a decoder `head` [width, vocabulary], unless it is `tied`: then the head is the
      transposed embedding.

    The order is part of the seed: the same seed gives the same weights. Raises MemoryError.
    """
    random = np.random.Generator(np.random.SFC64(spec.seed))  # twice as fast as the default
    # Scales the contributions of all layers to about the size of the embedding (GPT-2, section 2.3).
    damping = (2 * spec.layers) ** -0.5
    heads, kv = spec.heads * spec.head_width, spec.kv_heads * spec.head_width
    up_name, up_width = ("gate_up", 2 * spec.mlp_width) if spec.mlp == "gated" else ("up", spec.mlp_width)

    def normal(rows: int, columns: int, factor: float = 1.0) -> NDArray[np.float32]:
        values = random.standard_normal((rows, columns), dtype=np.float32)
        if factor != 1:
            values *= np.float32(factor)
        return values

    def matrix(rows: int, columns: int, factor: float = 1.0) -> NDArray[np.float32]:
        return normal(rows, columns, factor * rows**-0.5)

    def ones() -> NDArray[np.float32]:
        return np.ones(spec.width, np.float32)

    # A tied table is small, as in trained models: else the likeliest next token would always be the last one.
    table_factor = spec.width**-0.5 if spec.tied else 1.0
    yield "embedding", normal(spec.vocabulary, spec.width, table_factor)
    if spec.positions == "learned":
        yield "positions", normal(spec.context_tokens, spec.width, _POSITION_SCALE * table_factor)
    for layer in range(spec.layers):
        yield f"norm_a_{layer}", ones()
        yield f"qkv_{layer}", matrix(spec.width, heads + 2 * kv)
        yield f"attention_out_{layer}", matrix(heads, spec.width, damping)
        yield f"norm_f_{layer}", ones()
        if spec.experts > 1:
            yield f"router_{layer}", matrix(spec.width, spec.experts)
        for suffix in feed_forwards(spec, layer):
            yield f"{up_name}_{suffix}", matrix(spec.width, up_width)
            yield f"down_{suffix}", matrix(spec.mlp_width, spec.width, damping)
    yield "norm_out", ones()
    if spec.kind == "decoder" and not spec.tied:
        yield "head", matrix(spec.width, spec.vocabulary)


def feed_forwards(spec: TransformerSpec, layer: int) -> list[str]:
    """Return the ends of the names of a layer's feed-forwards: `3`, or `3_0`, `3_1`, ... of experts."""
    return [f"{layer}_{expert}" for expert in range(spec.experts)] if spec.experts > 1 else [str(layer)]
