"""Compares `inferometer profile gemm` with NumPy, and with PyTorch where it is installed, in a plain loop."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine_environments import engine_environment, is_installed
from engine_phases import phase_bars

from agent.workloads.gemm.spec import GemmSpec

if TYPE_CHECKING:
    from pathlib import Path

    from reporting import Bar

_SIZE = 1536
_TORCH = "torch"


def environment() -> Path:
    """Return the environment with NumPy."""
    return engine_environment("gemm")


def prove(quick: bool) -> list[Bar]:
    """Compare the median time of a product."""
    specs = [(GemmSpec(_SIZE, _SIZE, _SIZE, dtype, "numpy"), environment()) for dtype in ("fp32", "fp64")]
    if is_installed(_TORCH) and find_spec(f"engine_{_TORCH}"):
        torch = import_module(f"engine_{_TORCH}").environment()
        specs += [(GemmSpec(_SIZE, _SIZE, _SIZE, dtype, "torch"), torch) for dtype in ("fp32", "bf16")]
    bars = []
    for spec, home in specs[:1] if quick else specs:
        bars += phase_bars(home, spec, "gemm", spec.engine, spec.dtype, str(_SIZE), quick=quick)
    return bars
