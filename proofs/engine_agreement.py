"""Compares the outputs of the transformer on an engine with those on ONNX Runtime in fp32, for every option."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from reporting import Bar, table

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_DIFFERENCE = {"fp32": 1e-4, "fp16": 0.01, "bf16": 0.05, "int8": 0.1, "int4": 0.4}
"""The largest difference of an output, relative to the largest output."""
_SCRIPT = Path(__file__).with_name("transformer_outputs.py")


def agreement_bars(environment: Path, engine: str, precisions: Sequence[str], without: Sequence[str] = ()) -> list[Bar]:
    """Return a bar for each precision: the largest difference of an output in any case but those `without`."""
    found = _differences(environment, engine, precisions, without)
    rows = [[case, *(found[precision][case] for precision in precisions)] for case in found[precisions[0]]]
    table(f"Differences of outputs on {engine}", ("CASE", *(f"{each}>" for each in precisions)), rows)
    return [
        Bar(f"{engine} {precision}, difference of an output", max(each.values()), MOST_DIFFERENCE[precision])
        for precision, each in found.items()
    ]


def _differences(
    environment: Path, engine: str, precisions: Sequence[str], without: Sequence[str]
) -> dict[str, dict[str, float]]:
    line = [environment / "bin/python", "-I", _SCRIPT, engine, ",".join(without), *precisions]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise SystemExit(f"the outputs on {engine} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    differences: dict[str, dict[str, float]] = json.loads(done.stdout)
    return differences
