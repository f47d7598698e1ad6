"""Compares the transformer on PyTorch with the same model in a plain loop, and its outputs with ONNX Runtime's."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine_agreement import agreement_bars
from engine_environments import engine_environment
from engine_phases import phase_bars

from agent.workloads.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from pathlib import Path

    from reporting import Bar

_PACKAGES = ("torch==2.13.0", "torchao==0.18.0")
_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_SHAPE = {"batch": 1, "layers": 6, "width": 512, "heads": 8, "vocabulary": 16384, "prompt_tokens": 128}
_TIMED = ("fp32", "bf16")


def environment() -> Path:
    """Return the environment with PyTorch for CPUs, from pip's links if there are any, else from PyTorch's index."""
    source = () if os.environ.get("PIP_FIND_LINKS") else ("--extra-index-url", _CPU_INDEX)
    return engine_environment("torch", *source, *_PACKAGES)


def prove(quick: bool) -> list[Bar]:
    """Return the differences of outputs and of times."""
    installed = environment()
    bars = agreement_bars(installed, "torch", ("fp32", "bf16", "fp16", "int8", "int4"))
    for precision in _TIMED:
        spec = TransformerSpec(**_SHAPE, precision=precision, engine="torch")
        bars += phase_bars(installed, spec, "torch_transformer", json.dumps(asdict(spec)), quick=quick)
    return bars
