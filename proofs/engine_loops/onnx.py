"""Runs an ONNX model in a plain loop of ONNX Runtime; prints the median seconds of a run for each line of its input.

onnx.py MODEL SECONDS THREADS NAME=FILE.npy ...; 0 threads: the choice of the engine
"""

import gc
import statistics
import sys
import time

import numpy as np
import onnxruntime


def main() -> None:
    """Load the model, run it once, and measure without the garbage collector, as `timeit` does."""
    gc.disable()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[3])
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    feeds = {name: np.load(file) for name, _, file in (argument.partition("=") for argument in sys.argv[4:])}
    session.run(None, feeds)
    for _ in sys.stdin:
        print(median_seconds(session, feeds, float(sys.argv[2])), flush=True)


def median_seconds(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray], seconds: float) -> float:
    """Run for a time, and return the median."""
    times, before = [], time.perf_counter()
    end = before + seconds
    while before < end or not times:
        session.run(None, feeds)
        after = time.perf_counter()
        times.append(after - before)
        before = after
    return statistics.median(times)


if __name__ == "__main__":
    main()
