"""A decoder in OpenVINO's own format in a plain loop: `MODEL BATCH PROMPT OUTPUT VOCABULARY THREADS SECONDS`.

For each line of its input, `prefill` or `decode`, it repeats that phase for some seconds and prints the median time of
an iteration in seconds. A decode writes all output tokens after the first.
"""

from __future__ import annotations

import gc
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import openvino

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def phases_of(
    model: str, batch: int, prompt: int, output: int, vocabulary: int, threads: int
) -> dict[str, Callable[[], float]]:
    """Return the phases by name, each as a function that runs it once and returns its seconds."""
    options = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "INFERENCE_NUM_THREADS": threads}
    options["PERFORMANCE_HINT"] = "LATENCY"
    request = openvino.compile_model(model, "CPU", options).create_infer_request()
    ids = np.random.default_rng(0).integers(0, vocabulary, (batch, prompt))
    rows = np.arange(batch, dtype=np.int32)

    def advance(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        request.infer({"input_ids": tokens, "beam_idx": rows}, share_outputs=True)
        return request.get_tensor("next_ids").data.copy()

    def prefill() -> float:
        start = time.perf_counter()
        request.reset_state()
        advance(ids)
        return time.perf_counter() - start

    def decode() -> float:
        request.reset_state()
        tokens = advance(ids)
        start = time.perf_counter()
        for _ in range(output - 1):
            tokens = advance(tokens)
        return time.perf_counter() - start

    return {"prefill": prefill, "decode": decode}


if __name__ == "__main__":
    gc.disable()  # as `timeit` does, and as this project does in a window
    phases = phases_of(sys.argv[1], *map(int, sys.argv[2:7]))
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(sys.argv[7])
        while time.perf_counter() < end:
            times.append(phases[line.strip()]())
        print(median(times), flush=True)
