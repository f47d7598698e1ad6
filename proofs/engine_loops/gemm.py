"""Multiplies two matrices in a plain loop: `ENGINE DTYPE SIZE THREADS SECONDS`.

For each line of its input it does so for some seconds, and prints the median seconds of a product.
"""

import gc
import statistics
import sys
import time

import numpy as np


def main() -> None:
    """Make the matrices, and multiply them on request."""
    engine, dtype, size, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[5])
    random = np.random.default_rng(0)
    element = np.float64 if dtype == "fp64" else np.float32
    left, right = (random.uniform(-1, 1, (size, size)).astype(element) for _ in range(2))
    if engine == "numpy":
        result = np.empty_like(left)

        def multiply() -> None:
            np.matmul(left, right, out=result)
    else:
        import torch  # noqa: PLC0415  of this engine only

        torch.set_num_threads(int(sys.argv[4]))
        own = getattr(torch, {"fp32": "float32", "fp64": "float64", "bf16": "bfloat16"}[dtype])
        one, two = torch.from_numpy(left).to(own), torch.from_numpy(right).to(own)
        product = torch.empty_like(one)

        def multiply() -> None:
            torch.mm(one, two, out=product)

    gc.disable()  # as `timeit` does, and as this project does in a window
    for _ in sys.stdin:
        times = []
        end = time.perf_counter() + seconds
        while (before := time.perf_counter()) < end:
            multiply()
            times.append(time.perf_counter() - before)
        print(statistics.median(times), flush=True)


if __name__ == "__main__":
    main()
