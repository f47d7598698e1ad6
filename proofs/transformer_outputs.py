"""Compares the outputs of an engine with those of ONNX Runtime: `transformer_outputs.py ENGINE WITHOUT PRECISION...`.

Runs in the environment of the engine. Every option of the transformer is a small case with the same weights and inputs,
but those of the list `WITHOUT`.
Prints for each precision and case the largest difference of an output, relative to the largest output, as JSON; in fp32
the tokens of a decode must be the same too, else the difference is 1.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.transformer.decoder import engine_module
from agent.workloads.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from agent.workloads.transformer.decoder import Decoder

SMALL = {"layers": 2, "width": 64, "heads": 4, "vocabulary": 96, "mlp_ratio": 2, "prompt_tokens": 9, "output_tokens": 6}
CASES = {
    "rope": {},
    "learned positions": {"positions": "learned"},
    "grouped queries": {"kv_heads": 2},
    "wide heads": {"head_width": 32, "kv_heads": 1},
    "tied": {"tied": True},
    "plain feed-forward": {"mlp": "plain"},
    "experts": {"experts": 4, "active_experts": 2},
    "encoder": {"kind": "encoder", "output_tokens": 0},
}


def written(decoder: Decoder, prompts: object, count: int) -> list[list[int]]:
    """Return the tokens of a request, the first of them by the prefill."""
    state = decoder.prefill(prompts)
    tokens = [decoder.tokens(state).tolist()]
    for _ in range(count - 1):
        state = decoder.step(state)
        tokens.append(decoder.tokens(state).tolist())
    return tokens


def difference(engine: str, precision: str, options: dict) -> float:
    """Return the largest difference of an output, relative to the largest output."""
    ids = np.random.default_rng(0).integers(0, SMALL["vocabulary"], (3, SMALL["prompt_tokens"]))
    outputs, tokens = [], []
    for name in ("onnxruntime", engine):
        own = precision if name == engine else "fp32"
        spec = TransformerSpec(**(SMALL | options), precision=own, engine=name)
        decoder = engine_module(name).load(spec, EngineSpec(device="cpu", threads=1))
        prompts = decoder.prompts(ids)
        outputs.append(decoder.logits(prompts))
        if spec.output_tokens:
            tokens.append(written(decoder, prompts, spec.output_tokens))
            tokens.append(written(decoder, prompts, spec.output_tokens))  # a second decode starts from the same state
    if precision == "fp32" and any(each != tokens[0] for each in tokens):
        return 1.0
    reference, found = outputs
    return float(np.abs(found - reference).max() / np.abs(reference).max())


if __name__ == "__main__":
    _, chosen, without, *precisions = sys.argv
    cases = {case: options for case, options in CASES.items() if case not in without.split(",")}
    print(json.dumps({each: {case: difference(chosen, each, cases[case]) for case in cases} for each in precisions}))
