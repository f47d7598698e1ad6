"""Measures the ranges of a transformer's activations, from which int8_static takes its scales."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.engines import onnxruntime
from agent.workloads.transformer.onnx_decoder import build_decoder, cache_names

if TYPE_CHECKING:
    from agent.workloads.transformer.onnx_graph import Ranges
    from agent.workloads.transformer.spec import TransformerSpec

_PROMPTS, _LONGEST_PROMPT = 8, 128


def activation_ranges(spec: TransformerSpec, threads: int) -> Ranges:
    """Run the model in fp32 on random prompts, and return the range of the input of each matrix.

    The prompts are not those of any point. Raises WorkloadError or MemoryError.
    """
    exact = replace(spec, precision="fp32")
    graph = build_decoder(exact, observed=True)
    session = onnxruntime.open_session(graph.serialized(), EngineSpec("cpu", threads), graph.weights)
    length = min(spec.prompt_tokens, _LONGEST_PROMPT)
    ids = np.random.default_rng([spec.seed, 0]).integers(0, spec.vocabulary, (_PROMPTS, length))
    empty = session.tensor(np.zeros((_PROMPTS, spec.kv_heads, 0, spec.head_width), np.float32))
    feeds = dict.fromkeys(cache_names(exact, "past"), empty) | {"input_ids": session.tensor(ids)}
    ends = [f"{name}_{end}" for name in graph.range_names for end in ("low", "high")]
    found = [float(tensor.numpy()) for tensor in session.run(feeds, ends)]
    return dict(zip(graph.range_names, zip(found[::2], found[1::2], strict=True), strict=True))
