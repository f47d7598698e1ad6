"""The random weights of a transformer, the same for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from agent.workloads.transformer.spec import TransformerSpec

_POSITION_SCALE = np.float32(0.1)


def weights_of(spec: TransformerSpec) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the weights of a spec by name, each in fp32, always in the same order; matrices are [inputs, outputs].

    `embedding` [vocabulary, width]; `positions` [context, width] if they are learned; for each layer i `norm_a_i`
    [width], `qkv_i` [width, 3 * width], `attention_out_i`, `norm_f_i`, `gate_up_i` [width, 2 * mlp width], `down_i`;
    then `norm_out` and `head` [width, vocabulary]. The order is part of the seed: the same seed gives the same weights.
    Raises MemoryError.
    """
    random = np.random.Generator(np.random.SFC64(spec.seed))  # twice as fast as the default
    # Scales the contributions of all layers to about the size of the embedding (GPT-2, section 2.3).
    damping = (2 * spec.layers) ** -0.5

    def normal(rows: int, columns: int) -> NDArray[np.float32]:
        return random.standard_normal((rows, columns), dtype=np.float32)

    def matrix(rows: int, columns: int, factor: float = 1.0) -> NDArray[np.float32]:
        values = normal(rows, columns)
        values *= np.float32(factor * rows**-0.5)
        return values

    def ones() -> NDArray[np.float32]:
        return np.ones(spec.width, np.float32)

    yield "embedding", normal(spec.vocabulary, spec.width)
    if spec.positions == "learned":
        yield "positions", normal(spec.context_tokens, spec.width) * _POSITION_SCALE
    for layer in range(spec.layers):
        yield f"norm_a_{layer}", ones()
        yield f"qkv_{layer}", matrix(spec.width, 3 * spec.width)
        yield f"attention_out_{layer}", matrix(spec.width, spec.width, damping)
        yield f"norm_f_{layer}", ones()
        yield f"gate_up_{layer}", matrix(spec.width, 2 * spec.mlp_width)
        yield f"down_{layer}", matrix(spec.mlp_width, spec.width, damping)
    yield "norm_out", ones()
    yield "head", matrix(spec.width, spec.vocabulary)
