"""Runs an ONNX model in a plain loop of ONNX Runtime, and prints the median seconds of a run.

onnx.py MODEL SECONDS THREADS NAME=FILE.npy ...; 0 threads: the choice of the engine
"""

import json
import statistics
import sys
import time

import numpy as np
import onnxruntime


def main() -> None:
    """Warm up for a third of the time, then measure."""
    seconds = float(sys.argv[2])
    feeds = {name: np.load(file) for name, _, file in (argument.partition("=") for argument in sys.argv[4:])}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[3])
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    warm = time.perf_counter() + seconds / 3
    while time.perf_counter() < warm:
        session.run(None, feeds)
    times = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        session.run(None, feeds)
        times.append(time.perf_counter() - before)
    print(json.dumps(statistics.median(times)))


if __name__ == "__main__":
    main()
