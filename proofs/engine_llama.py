"""Compares `inferometer profile llama` with llama-bench, on a real model of 135 million weights and on a generated one.

Both run the same file on the same CPUs and with the same shared libraries: those of llama-cpp-python, which its package
builds from the sources from which llama-bench is built. A llama-bench with static ones is up to 12 % faster on small
models.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from engine_environments import engine_environment
from engine_pairs import LOOPS, REST_SECONDS, SLICE_SECONDS, Pairs, in_rounds, joined, looped, profiled
from engine_phases import worker_of
from programs import CACHE, LLAMA, llama_bench, small_model
from reporting import Bar, table

from agent.workloads.llama.spec import LlamaSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.workloads.runner.client import WorkloadProcess

PROMPT, OUTPUT = 128, 32
_REPETITIONS, _ENDLESS = 1, 1_000_000
"""The least number of repetitions in a slice, and the number that llama-bench begins with."""
_ROUNDS = {"real.Q4_1": (12, 2), "generated.Q8_0": (60, 2)}
"""The rounds of each model, and the pairs of a round. A repetition with the real model takes longer than a slice. Two
processes with the generated one differ by up to 20 % for all of their time, so it has more rounds."""
_LOOP_ROUNDS, _LOOP_PAIRS = 20, 20
_BEGIN = re.compile(r"(prompt|generation) run \d+/")
THREADS = max(1, (os.cpu_count() or 1) // 2)
"""Half of the CPUs: the threads of llama.cpp wait for each other, so one that shares its CPU delays all."""
_REST_SECONDS = REST_SECONDS if THREADS > 1 else 0.05
"""The pause before a slice: a single thread does not spin after its work."""
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
    for name, (rounds, pairs) in _ROUNDS.items():
        sides = partial(_sides, name, files[name])
        found = in_rounds(sides, quick=quick, rounds=rounds, pairs=pairs, rest_seconds=_REST_SECONDS)
        bars += [] if quick else [each.bar() for each in found]
    bars += loop_bars(files["generated.Q8_0"], quick=quick)
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
    with ExitStack() as stack:
        with _on_the_last_cpus():
            worker = stack.enter_context(worker_of(environment(), spec, {"prompt_tokens": PROMPT}, THREADS))
            benches = {phase: stack.enter_context(closing(_StoppedBench(file, phase))) for phase in TESTS}
        yield {
            f"{name}, {phase}, tokens/s": (partial(_rate, worker, phase), bench.rate)
            for phase, bench in benches.items()
        }


@contextmanager
def _on_the_last_cpus() -> Iterator[None]:
    """Start programs on the same CPUs, as many as their threads: the CPUs of a virtual machine differ in speed."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[-THREADS:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def _rate(worker: WorkloadProcess, phase: str) -> float:
    """Return the tokens per second of a slice of this project: of the median iteration after a first one."""
    _, *seconds = worker.measure(phase, SLICE_SECONDS, _REPETITIONS + 1).latencies_seconds
    return TESTS[phase][1] / median(seconds)


class _StoppedBench:
    """A llama-bench that repeats one test and is stopped between its slices; it begins with its first repetition."""

    def __init__(self, file: str, phase: str) -> None:
        kind, self._tokens = TESTS[phase]
        sizes = {"pp": ("-p", str(PROMPT), "-n", "0"), "tg": ("-p", "0", "-n", str(OUTPUT))}[kind]
        line = (llama_bench(), "-m", file, *sizes, "-t", str(THREADS), "-r", str(_ENDLESS), "--progress")
        self._process = subprocess.Popen(
            [*map(str, line)], env=_with_libraries(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._begin()
        self._process.send_signal(signal.SIGSTOP)

    def rate(self) -> float:
        """Return the tokens per second of a slice: of the median repetition after the one that was interrupted.

        llama-bench prints a line when it begins to measure a repetition.
        """
        self._process.send_signal(signal.SIGCONT)
        begins = [self._begin()]
        while len(begins) <= _REPETITIONS or begins[-1] - begins[0] < SLICE_SECONDS:
            begins.append(self._begin())
        self._process.send_signal(signal.SIGSTOP)
        return self._tokens / median(after - before for before, after in pairwise(begins))

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _begin(self) -> float:
        """Return the time at which the next repetition begins."""
        for line in self._process.stderr or ():
            if _BEGIN.search(line):
                return time.monotonic()
        raise SystemExit(f"llama-bench ended with {self._process.wait()}")


def _with_libraries() -> dict[str, str]:
    """Return the environment in which llama-bench loads the libraries of llama-cpp-python."""
    (folder,) = environment().glob("lib/python3*/site-packages/llama_cpp/lib")
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def loop_bars(file: str, *, quick: bool) -> list[Bar]:
    """Compare the decode of the workload with a loop in C in the same process, which has the same memory."""
    script, library = "llama_decode", CACHE / "engine-llama/llama_decode.so"
    (packages,) = environment().glob("lib/python3*/site-packages")
    compiler = ("gcc", "-O2", "-shared", "-fPIC", f"-I{packages / 'include'}", f"-L{packages / 'llama_cpp/lib'}")
    subprocess.run((*compiler, "-o", library, LOOPS / f"{script}.c", "-lllama"), check=True)
    quantity, parts = "generated.Q8_0, decode beside a loop in C, tokens/s", []
    with _on_the_last_cpus():
        for _ in range(1 if quick else _LOOP_ROUNDS):
            sizes = map(str, (OUTPUT, THREADS, 1 if quick else _LOOP_PAIRS))
            seconds = looped(environment(), script, file, library, *sizes)
            ours, theirs = (tuple(OUTPUT / each for each in side) for side in zip(*seconds, strict=True))
            parts.append(Pairs(quantity, ours, theirs))
    found = joined(parts)
    return [] if quick else [found.bar()]


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
