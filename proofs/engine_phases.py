"""Compares the phases of a transformer on an engine with a plain loop of the same engine and the same model."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from engine_pairs import LOOPS, PAIRS, QUICK_PAIRS, interleaved

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.runner.client import WorkloadProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reporting import Bar

    from agent.workloads.transformer.spec import TransformerSpec

THREADS, SECONDS = 2, 1.0


def phase_bars(installed: Path, spec: TransformerSpec, script: str, model: Path, *, quick: bool) -> list[Bar]:
    """Return a bar for each phase, in pairs of one second: none if `quick`.

    `script` of `engine_loops` gets `model`, a file or a folder, and the sizes of the requests. For each line of its
    input, the name of a phase, it prints the median time of an iteration in seconds.
    """
    sizes = (spec.batch, spec.prompt_tokens, spec.output_tokens, spec.vocabulary)
    line = [installed / "bin/python", "-I", LOOPS / f"{script}.py", model, *map(str, (*sizes, THREADS, SECONDS))]
    bars = []
    with _worker(installed, spec) as worker, _loop(line) as loop:
        for phase in spec.phases:

            def ours(phase: str = phase) -> float:
                return median(worker.measure(phase, SECONDS, 1).latencies_seconds)

            def theirs(phase: str = phase) -> float:
                return loop(phase)

            quantity = f"{spec.engine} {spec.precision} {phase}, seconds"
            pairs = interleaved(quantity, ours, theirs, QUICK_PAIRS if quick else 3 * PAIRS)
            bars += [] if quick else [pairs.bar()]
    return bars


def run_code(installed: Path, code: str, *arguments: str | Path) -> None:
    """Run code in an environment, with the project of this checkout."""
    subprocess.run([installed / "bin/python", "-I", "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _worker(installed: Path, spec: TransformerSpec) -> Iterator[WorkloadProcess]:
    """The workload process of `inferometer profile`, in the environment."""
    with WorkloadProcess((str(installed / "bin/python"), "-P", "-m", "agent.workloads.runner.worker")) as worker:
        worker.start(spec, EngineSpec(device="cpu", threads=THREADS))
        worker.prepare({"batch": spec.batch})
        yield worker


@contextmanager
def _loop(line: list[str | Path]) -> Iterator[Callable[[str], float]]:
    """The plain loop, as a function from a phase to its median seconds."""
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def seconds(phase: str) -> float:
            requests.write(f"{phase}\n")
            requests.flush()
            return float(answers.readline())

        yield seconds
        requests.close()
