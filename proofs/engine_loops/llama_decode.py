"""Decodes in turn as the workload does and in a loop in C, in one process: with the same context and the same batches.

    llama_decode.py FILE LIBRARY OUTPUT_TOKENS THREADS PAIRS

Prints the seconds of each pair as JSON.
"""

import ctypes
import json
import sys
import time
from pathlib import Path

import llama_cpp

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.llama.on_llama_cpp import load
from agent.workloads.llama.spec import LlamaSpec


def main() -> None:
    """Measure pairs in the order ABBA; the first does not count."""
    path, library = Path(sys.argv[1]), ctypes.CDLL(sys.argv[2])
    tokens, threads, pairs = map(int, sys.argv[3:])
    library.decode.restype = ctypes.c_double
    library.decode.argtypes = [ctypes.c_void_p, ctypes.POINTER(llama_cpp.llama_batch), ctypes.c_int]
    spec = LlamaSpec({path.name: path}, 1, tokens, engine="llama-cpp-python")
    decode = load(spec, EngineSpec(device="cpu", threads=threads)).phases(spec)["decode"].run_once
    context, batches = decode._context.handle, (llama_cpp.llama_batch * tokens)(*decode._batches)  # noqa: SLF001

    def ours() -> float:
        begin = time.monotonic()
        decode([])
        return time.monotonic() - begin

    def theirs() -> float:
        seconds = float(library.decode(context, batches, tokens))
        if seconds < 0:
            raise SystemExit("llama_decode failed")
        return seconds

    found = []
    for number in range(pairs + 1):
        if number % 2:
            other, own = theirs(), ours()
        else:
            own, other = ours(), theirs()
        found.append((own, other))
    print(json.dumps(found[1:]))


main()
