"""Compares the transformer on OpenVINO with the same model in a plain loop, and its outputs with ONNX Runtime's."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine_agreement import agreement_bars
from engine_environments import engine_environment
from engine_phases import phase_bars, run_code, sizes_of

from agent.workloads.transformer.spec import TransformerSpec

if TYPE_CHECKING:
    from reporting import Bar

_PACKAGES = ("openvino==2026.4.1", "nncf==3.4.0")
_SHAPE = {"batch": 1, "layers": 6, "width": 512, "heads": 8, "vocabulary": 16384, "prompt_tokens": 128}
_COMPARED = ("fp32", "fp16", "bf16", "int8", "int4")
_TIMED = ("fp32", "int4")
_EXPORT = """
import json, sys
from agent.workloads.transformer.openvino_model import build_model
from agent.workloads.transformer.spec import TransformerSpec
import openvino
model, _ = build_model(TransformerSpec(**json.loads(sys.argv[1])))
openvino.save_model(model, sys.argv[2], compress_to_fp16=False)
"""


def environment() -> Path:
    """Return the environment with OpenVINO and its compression of weights."""
    return engine_environment("openvino", *_PACKAGES)


def prove(quick: bool) -> list[Bar]:
    """Return the differences of outputs and of times."""
    installed = environment()
    bars = agreement_bars(installed, "openvino", _COMPARED)
    for precision in _TIMED:
        spec = TransformerSpec(**_SHAPE, precision=precision, engine="openvino")
        with TemporaryDirectory() as folder:
            model = Path(folder) / "model.xml"
            run_code(installed, _EXPORT, json.dumps(asdict(spec)), model)
            bars += phase_bars(installed, spec, "openvino_transformer", model, *sizes_of(spec), quick=quick)
    return bars
