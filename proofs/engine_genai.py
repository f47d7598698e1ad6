"""Compares the transformer on ONNX Runtime GenAI with the same model in a plain loop, and its outputs with others."""

from __future__ import annotations

import json
from dataclasses import asdict
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine_agreement import agreement_bars
from engine_environments import engine_environment
from engine_phases import THREADS, phase_bars, run_code, sizes_of

from agent.workloads.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from pathlib import Path

    from reporting import Bar

_PACKAGES = ("onnxruntime-genai==0.18.0",)
_SHAPE = {"batch": 1, "layers": 6, "width": 512, "heads": 8, "vocabulary": 16384, "prompt_tokens": 128}
_COMPARED = ("fp32", "fp16", "int8", "int4")
_TIMED = ("fp32", "int4")
_EXPORT = """
import json, pathlib, sys
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.transformer.genai_folder import write_folder
from agent.workloads.transformer.spec import TransformerSpec
spec = TransformerSpec(**json.loads(sys.argv[1]))
write_folder(spec, EngineSpec(device="cpu", threads=int(sys.argv[3])), pathlib.Path(sys.argv[2]))
"""


def environment() -> Path:
    """Return the environment with ONNX Runtime GenAI."""
    return engine_environment("genai", *_PACKAGES)


def prove(quick: bool) -> list[Bar]:
    """Return the differences of outputs and of times."""
    installed = environment()
    bars = agreement_bars(installed, "onnxruntime-genai", _COMPARED, without=("encoder",))
    for precision in _TIMED:
        spec = TransformerSpec(**_SHAPE, precision=precision, engine="onnxruntime-genai")
        with TemporaryDirectory() as folder:
            run_code(installed, _EXPORT, json.dumps(asdict(spec)), folder, str(THREADS))
            bars += phase_bars(installed, spec, "genai_transformer", folder, *sizes_of(spec), quick=quick)
    return bars
