"""Compares `inferometer profile llama` with llama-bench, on a real model of 135 million weights and on a generated one.

Both run the same file with the same number of threads; llama-bench is built from the sources of llama.cpp in the same
package as the library in the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from engine_environments import engine_environment
from engine_pairs import SLICE_SECONDS, in_rounds, looped, profiled
from engine_phases import worker_of
from programs import CACHE, LLAMA, llama_bench, small_model
from reporting import Bar, table

from agent.workloads.llama.spec import LlamaSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.workloads.runner.client import WorkloadProcess

PROMPT, OUTPUT = 128, 32
_REPETITIONS = 3
"""The least number of repetitions in a slice."""
_PAIRS = {"real.Q4_1": 8, "generated.Q8_0": 20}
"""The pairs of a round for each model: llama-bench loads the file in each."""
THREADS = max(1, (os.cpu_count() or 1) // 2)
"""Half of the CPUs: the threads of llama.cpp wait for each other, so one that shares its CPU delays all."""
TESTS = {"prefill": ("pp", PROMPT), "decode": ("tg", OUTPUT)}
"""The name and the tokens of each phase in llama-bench."""
LEAST_COSINE = 0.98
"""The agreement of 8 bits with 4 bits, and of 4 bits with 8 bits, of the same weights."""


@cache
def environment() -> Path:
    """Return the environment with llama-cpp-python, which is built from its sources; it takes some minutes."""
    os.environ.setdefault("CMAKE_ARGS", "-DLLAVA_BUILD=OFF -DGGML_NATIVE=ON")
    return engine_environment("llama", LLAMA, "gguf==0.19.0")


def prove(quick: bool) -> list[Bar]:
    """Return the bars of both models and phases, of llama-bench as the engine, and of the precisions."""
    files = models()
    bars = []
    for name, pairs in _PAIRS.items():
        found = in_rounds(partial(_sides, name, files[name]), quick=quick, pairs=pairs)
        bars += [] if quick else [each.bar() for each in found]
    return [*bars, *engine_bars(files["generated.Q8_0"]), *precision_bars(files)]


def models() -> dict[str, str]:
    """Return the paths of the files, which are written once."""
    folder = CACHE / "engine-llama/models"
    folder.mkdir(exist_ok=True)
    written: dict[str, str] = looped(environment(), "llama_models", folder, small_model())
    return {**written, "real.Q4_1": str(small_model())}


def document(*arguments: str) -> dict[str, Any]:
    """Return the profile of a file with short windows."""
    lengths = ("--prompt-tokens", str(PROMPT), "--output-tokens", str(OUTPUT), "--threads", str(THREADS))
    return profiled(environment(), "llama", *lengths, "--idle-seconds", "0.2", "--warmup-seconds", "1", *arguments)


@contextmanager
def _sides(name: str, file: str) -> Iterator[dict[str, tuple[Callable[[], float], Callable[[], float]]]]:
    """Yield both sides of each phase: the workload process of `inferometer profile`, and llama-bench."""
    path = Path(file)
    spec = LlamaSpec({path.name: path}, PROMPT, OUTPUT, engine="llama-cpp-python")
    with worker_of(environment(), spec, {"prompt_tokens": PROMPT}, THREADS) as worker:
        yield {
            f"{name}, {phase}, tokens/s": (
                partial(_rate, worker, phase),
                partial(_bench, file, phase, _once(file, phase)),
            )
            for phase in TESTS
        }


def _rate(worker: WorkloadProcess, phase: str) -> float:
    """Return the tokens per second of a slice of this project: of the median iteration after a first one.

    llama-bench, too, runs a test once before it measures.
    """
    _, *seconds = worker.measure(phase, SLICE_SECONDS, _REPETITIONS + 1).latencies_seconds
    return TESTS[phase][1] / median(seconds)


def _bench(file: str, phase: str, once: float) -> float:
    """Return the tokens per second of a slice of llama-bench, whose repetition takes `once` seconds: of the median."""
    return TESTS[phase][1] / median(_repetitions(file, phase, max(_REPETITIONS, round(SLICE_SECONDS / once))))


@cache
def _once(file: str, phase: str) -> float:
    return median(_repetitions(file, phase, _REPETITIONS))


def _repetitions(file: str, phase: str, count: int) -> list[float]:
    """Return the seconds of each repetition of one test of llama-bench."""
    kind, tokens = TESTS[phase]
    sizes = {"pp": ("-p", str(tokens), "-n", "0"), "tg": ("-p", "0", "-n", str(tokens))}[kind]
    line = (llama_bench(), "-m", file, *sizes, "-t", str(THREADS), "-r", str(count), "-o", "jsonl")
    done = subprocess.run([*map(str, line)], capture_output=True, text=True, check=True, timeout=600)
    return [each / 1e9 for each in json.loads(done.stdout)["samples_ns"]]


def engine_bars(file: str) -> list[Bar]:
    """Check the engine llama-bench: its windows have its own repetitions only."""
    found = document("--model", file, "--engine", "llama-bench", "--program", str(llama_bench()), "--repeats", "1")
    (point,) = found["points"]
    counts = {each["phase"]: each["input_tokens"] + each["output_tokens"] for each in point["phases"]}
    wrong = sum(counts[each["phase"]] != each["iterations"] * TESTS[each["phase"]][1] for each in point["phases"])
    other = float(found["engine"]["name"] != "llama-bench")
    return [
        Bar("llama-bench as the engine: another engine in the profile", other, 0),
        Bar("llama-bench as the engine: phases with wrong counts", wrong, 0),
    ]


def precision_bars(files: dict[str, str]) -> list[Bar]:
    """Check that quantizations of one model are side by side with their agreement, and 4 bits are smaller."""
    names = ("real.Q8_0", "real.Q4_K_M")
    found = document("--model", ",".join(files[name] for name in names), "--repeats", "1", "--window-seconds", "0.5")
    models = [point["model"] for point in found["points"]]
    _show(found["points"])
    agreement = models[1]["agreement"]
    wrong = float([each["precision"] for each in models] != ["Q8_0", "Q4_K_M"])
    return [
        Bar("quantizations: wrong precisions in the profile", wrong, 0),
        Bar("cosine similarity of Q4_K_M with Q8_0", agreement["cosine_similarity"], LEAST_COSINE, at_least=True),
        Bar("bytes of Q4_K_M over those of Q8_0", models[1]["model_bytes"] / models[0]["model_bytes"], 0.9),
    ]


def _show(points: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            each["parameters"]["model"],
            each["model"]["precision"],
            each["model"]["model_bytes"] / 1e6,
            each["model"]["agreement"]["top1_agreement"] if each["model"]["agreement"] else "",
            each["output_tokens_per_second"]["mean"],
        )
        for each in points
    ]
    table("Quantizations side by side", ("FILE", "PRECISION", "MB>", "TOP-1>", "OUTPUT TOK/S>"), rows)
