"""Multiplies two matrices in a plain loop, and prints the median seconds of a product.

gemm.py ENGINE DTYPE SIZE SECONDS
"""

import json
import statistics
import sys
import time

import numpy as np


def main() -> None:
    """Warm up for a third of the time, then measure."""
    engine, dtype, size, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    random = np.random.default_rng(0)
    element = np.float64 if dtype == "fp64" else np.float32
    left, right = (random.uniform(-1, 1, (size, size)).astype(element) for _ in range(2))
    if engine == "numpy":
        result = np.empty_like(left)

        def multiply() -> None:
            np.matmul(left, right, out=result)
    else:
        import torch  # noqa: PLC0415  of this engine only

        own = getattr(torch, {"fp32": "float32", "fp64": "float64", "bf16": "bfloat16"}[dtype])
        one, two = torch.from_numpy(left).to(own), torch.from_numpy(right).to(own)
        product = torch.empty_like(one)

        def multiply() -> None:
            torch.mm(one, two, out=product)

    warm = time.perf_counter() + seconds / 3
    while time.perf_counter() < warm:
        multiply()
    times = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        multiply()
        times.append(time.perf_counter() - before)
    print(json.dumps(statistics.median(times)))


if __name__ == "__main__":
    main()
