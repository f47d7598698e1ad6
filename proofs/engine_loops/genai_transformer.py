"""A decoder on ONNX Runtime GenAI in a plain loop: `FOLDER BATCH PROMPT OUTPUT VOCABULARY THREADS SECONDS`.

For each line of its input, `prefill` or `decode`, it repeats that phase for some seconds and prints the median time of
an iteration in seconds. A decode writes all output tokens after the first. It begins at the end of the prompt, to which
one generator returns again and again.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

os.environ["ORT_GENAI_TELEMETRY_DISABLED"] = os.environ["CI"] = "1"

import onnxruntime_genai

if TYPE_CHECKING:
    from collections.abc import Callable


def phases_of(folder: str, batch: int, prompt: int, output: int, vocabulary: int) -> dict[str, Callable[[], float]]:
    """Return the phases by name, each as a function that runs it once and returns its seconds."""
    model = onnxruntime_genai.Model(folder)
    ids = np.random.default_rng(0).integers(0, vocabulary, (batch, prompt), np.int32)

    def generator() -> onnxruntime_genai.Generator:
        parameters = onnxruntime_genai.GeneratorParams(model)
        parameters.set_search_options(batch_size=batch, max_length=prompt + output)
        return onnxruntime_genai.Generator(model, parameters)

    def prefill() -> float:
        fresh = generator()
        start = time.perf_counter()
        fresh.append_tokens(ids)
        fresh.generate_next_token()
        return time.perf_counter() - start

    read = generator()
    read.append_tokens(ids)
    read.generate_next_token()
    first = np.array(read.get_next_tokens(), np.int32)
    read.generate_next_token()  # there is no way back from the first token

    def decode() -> float:
        start = time.perf_counter()
        read.rewind_to(prompt)
        read.append_tokens(first)
        for _ in range(output - 1):
            read.generate_next_token()
        return time.perf_counter() - start

    return {"prefill": prefill, "decode": decode}


if __name__ == "__main__":
    gc.disable()  # as `timeit` does, and as this project does in a window
    phases = phases_of(sys.argv[1], *map(int, sys.argv[2:6]))
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(sys.argv[7])
        while time.perf_counter() < end:
            times.append(phases[line.strip()]())
        print(median(times), flush=True)
