"""Compares the phases of a workload on an engine with a plain loop of the same engine and the same model."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from engine_pairs import LOOPS, SLICE_SECONDS, in_rounds

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.gemm.spec import GemmSpec
from agent.workloads.runner.client import WorkloadProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reporting import Bar

    from agent.workloads.declaration import Spec
    from agent.workloads.point import Point
    from agent.workloads.transformer.spec import TransformerSpec

THREADS = 2


def phase_bars(
    installed: Path, spec: TransformerSpec | GemmSpec, script: str, *arguments: str | Path, quick: bool
) -> list[Bar]:
    """Return a bar for each phase: none if `quick`.

    `script` of `engine_loops` gets the arguments, the number of threads and the length of a slice in seconds. For each
    line of its input, the name of a phase, it prints the median time of an iteration in seconds.
    """
    line = [installed / "bin/python", "-I", LOOPS / f"{script}.py", *arguments, str(THREADS), str(SLICE_SECONDS)]
    precision = spec.dtype if isinstance(spec, GemmSpec) else spec.precision
    point: Point = {"dtype": spec.dtype} if isinstance(spec, GemmSpec) else {"batch": spec.batch}

    @contextmanager
    def start() -> Iterator[dict[str, tuple[Callable[[], float], Callable[[], float]]]]:
        with worker_of(installed, spec, point) as worker, _loop(line) as loop:
            yield {
                f"{spec.engine} {precision} {phase}, seconds": (
                    partial(_median_seconds, worker, phase),
                    partial(loop, phase),
                )
                for phase in spec.phases
            }

    pairs = in_rounds(start, quick=quick)
    return [] if quick else [each.bar() for each in pairs]


def sizes_of(spec: TransformerSpec) -> tuple[str, ...]:
    """Return the sizes of the requests, as the loops get them."""
    return tuple(map(str, (spec.batch, spec.prompt_tokens, spec.output_tokens, spec.vocabulary)))


def _median_seconds(worker: WorkloadProcess, phase: str) -> float:
    return median(worker.measure(phase, SLICE_SECONDS, 1).latencies_seconds)


def run_code(installed: Path, code: str, *arguments: str | Path) -> None:
    """Run code in an environment, with the project of this checkout."""
    subprocess.run([installed / "bin/python", "-I", "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def worker_of(installed: Path, spec: Spec, point: Point, threads: int = THREADS) -> Iterator[WorkloadProcess]:
    """The workload process of `inferometer profile` in an environment, which has prepared a point."""
    with WorkloadProcess((str(installed / "bin/python"), "-P", "-m", "agent.workloads.runner.worker")) as worker:
        worker.start(spec, EngineSpec(device="cpu", threads=threads))
        worker.prepare(point)
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
