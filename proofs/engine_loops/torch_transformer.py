"""The model of the transformer on PyTorch in a plain loop: `torch_transformer.py SPEC THREADS SECONDS`.

Only the layers are of this project. For each line of its input, `prefill` or `decode`, it repeats that phase for some
seconds and prints the median time of an iteration in seconds. A decode writes all output tokens after the first.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import torch

from agent.workloads.transformer.spec import TransformerSpec
from agent.workloads.transformer.torch_model import TorchModel, generate_weights

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def phases_of(spec: TransformerSpec) -> dict[str, Callable[[], object]]:
    """Return the phases by name, each as a function that runs it once."""
    model = TorchModel(spec, generate_weights(spec, DTYPES[spec.precision]), torch.device("cpu"))
    prompt, last = spec.prompt_tokens, spec.prompt_tokens + spec.output_tokens - 1
    ids = torch.randint(spec.vocabulary, (spec.batch, prompt))
    cache = model.empty_cache(spec.batch, prompt + spec.output_tokens)

    def prefill() -> object:
        return model.forward(ids, cache, 0)[1]

    def decode() -> None:
        written = first
        for past in range(prompt, last):
            _, written = model.forward(written, cache, past)

    first = prefill()
    return {"prefill": prefill, "decode": decode}


def median_seconds(phase: Callable[[], object], seconds: float) -> float:
    """Return the median time of an iteration."""
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        phase()
        times.append(time.perf_counter() - start)
    return median(times)


if __name__ == "__main__":
    gc.disable()  # as `timeit` does, and as this project does in a window
    torch.set_num_threads(int(sys.argv[2]))
    with torch.inference_mode():
        phases = phases_of(TransformerSpec(**json.loads(sys.argv[1])))
        for line in sys.stdin:
            print(median_seconds(phases[line.strip()], float(sys.argv[3])), flush=True)
