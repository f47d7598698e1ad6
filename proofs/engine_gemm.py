"""Compares `inferometer profile gemm` with NumPy, and with PyTorch where it is installed, in a plain loop."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine_environments import engine_environment, is_installed
from engine_pairs import PAIRS, QUICK_PAIRS, interleaved, looped, profiled

if TYPE_CHECKING:
    from pathlib import Path

    from reporting import Bar

_SIZE, _SECONDS = 1536, 6.0
_TORCH = "torch"


def environment() -> Path:
    """Return the environment with NumPy."""
    return engine_environment("gemm")


def prove(quick: bool) -> list[Bar]:
    """Compare the median time of a product."""
    cases = [("numpy", "fp32", environment()), ("numpy", "fp64", environment())]
    if is_installed(_TORCH) and find_spec(f"engine_{_TORCH}"):
        torch = import_module(f"engine_{_TORCH}").environment()
        cases += [(_TORCH, "fp32", torch), (_TORCH, "bf16", torch)]
    bars = []
    for engine, dtype, home in cases[:1] if quick else cases:
        ours = partial(_profiled, home, engine, dtype, _SECONDS)
        theirs = partial(_looped, home, engine, dtype, _SECONDS)
        pairs = interleaved(f"{engine} {dtype}: seconds of a product", ours, theirs, QUICK_PAIRS if quick else PAIRS)
        bars += [] if quick else [pairs.bar()]
    return bars


def _profiled(home: Path, engine: str, dtype: str, seconds: float) -> float:
    """Return the median time of a product in all windows; their results were verified."""
    sizes = [text for name in ("--m", "--n", "--k") for text in (name, str(_SIZE))]
    plan = ("--repeats", "3", "--window-seconds", str(seconds / 3), "--idle-seconds", "0.2", "--warmup-seconds", "2")
    document = profiled(home, "gemm", "--engine", engine, "--dtype", dtype, *sizes, *plan)
    (point,) = document["points"]
    (work,) = point["work"]
    if document["engine"]["name"] != engine or work["operations_per_inference"] != 2.0 * _SIZE**3:
        raise SystemExit(f"the profile is of {document['engine']['name']}: {work}")
    return float(point["latency_seconds"]["p50"])


def _looped(home: Path, engine: str, dtype: str, seconds: float) -> float:
    return float(looped(home, "gemm", engine, dtype, str(_SIZE), str(seconds)))
