"""Compares the transformer on PyTorch with the same model in a plain loop, and its outputs with ONNX Runtime's."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from engine_agreement import agreement_bars
from engine_environments import engine_environment
from engine_pairs import LOOPS, PAIRS, QUICK_PAIRS, interleaved

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.runner.client import WorkloadProcess
from agent.workloads.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reporting import Bar

_PACKAGES = ("torch==2.13.0", "torchao==0.18.0")
_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_SHAPE = {"batch": 1, "layers": 6, "width": 512, "heads": 8, "vocabulary": 16384, "prompt_tokens": 128}
_THREADS, _SECONDS = 2, 1.0
_PAIRS = 3 * PAIRS
_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def environment() -> Path:
    """Return the environment with PyTorch for CPUs, from pip's links if there are any, else from PyTorch's index."""
    source = () if os.environ.get("PIP_FIND_LINKS") else ("--extra-index-url", _CPU_INDEX)
    return engine_environment("torch", *source, *_PACKAGES)


def prove(quick: bool) -> list[Bar]:
    """Return the differences of outputs and of times."""
    installed = environment()
    bars = agreement_bars(installed, "torch", ("fp32", "bf16", "fp16", "int8", "int4"))
    for precision, dtype in _DTYPES.items():
        spec = TransformerSpec(**_SHAPE, precision=precision, engine="torch")
        with _worker(installed, spec) as worker, _loop(installed, spec, dtype) as loop:
            for phase in spec.phases:
                pairs = interleaved(
                    f"torch {precision} {phase}, seconds",
                    lambda phase=phase: median(worker.measure(phase, _SECONDS, 1).latencies_seconds),
                    lambda phase=phase: loop(phase),
                    QUICK_PAIRS if quick else _PAIRS,
                )
                bars += [] if quick else [pairs.bar()]
    return bars


@contextmanager
def _worker(installed: Path, spec: TransformerSpec) -> Iterator[WorkloadProcess]:
    """The workload process of `inferometer profile`, in the environment."""
    with WorkloadProcess((str(installed / "bin/python"), "-P", "-m", "agent.workloads.runner.worker")) as worker:
        worker.start(spec, EngineSpec(device="cpu", threads=_THREADS))
        worker.prepare({"batch": spec.batch})
        yield worker


@contextmanager
def _loop(installed: Path, spec: TransformerSpec, dtype: str) -> Iterator[Callable[[str], float]]:
    """The plain loop, as a function from a phase to its median seconds."""
    names = ("batch", "layers", "width", "heads", "vocabulary", "mlp_width", "prompt_tokens", "output_tokens")
    shape = json.dumps({name: getattr(spec, name) for name in names})
    line = [installed / "bin/python", "-I", LOOPS / "torch_transformer.py", shape, dtype, str(_THREADS), str(_SECONDS)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def seconds(phase: str) -> float:
            process.stdin.write(f"{phase}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield seconds
        process.stdin.close()
