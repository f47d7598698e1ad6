"""Runs `inferometer profile --tolerance` on a small model, beside a fixed plan; used by time_to_answer."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from typing import Any

from reporting import table

MODEL = (
    *("transformer", "--layers", "2", "--width", "128", "--vocabulary", "2048"),
    *("--prompt-tokens", "16", "--output-tokens", "16", "--batch", "1"),
)
PROTOCOLS = (
    ("--tolerance 2%", ("--tolerance", "2%", "--budget", "2m")),
    ("--standard", ("--standard",)),
)
TIMES = 3
PEERS = (
    ("optimum-benchmark", "optimum_benchmark", "and needs PyTorch"),
    ("the profiling loop of Zeus", "zeus", "and sets the power limits of NVIDIA GPUs"),
)


def real_rows(*, quick: bool) -> list[dict[str, Any]]:
    """Run each protocol on a small model several times, print a table and return its rows."""
    rows = [_run(name, options) for name, options in PROTOCOLS for _ in range(1 if quick else TIMES)]
    table(
        "A transformer of two layers on this machine",
        ("PROTOCOL", "WALL TIME>", "REPEATS>", "INFERENCES A SECOND>", "INTERVAL>", "OF"),
        [
            (
                row["protocol"],
                f"{row['seconds']:.1f} s",
                row["repeats"],
                f"{row['rate']:.1f}",
                f"±{row['width']:.1%}",
                row["metric"],
            )
            for row in rows
        ],
    )
    for name, module, needs in PEERS:
        if importlib.util.find_spec(module) is None:
            print(f"  {name} is left out: it is not installed beside this program, {needs}")
    return rows


def _run(name: str, options: tuple[str, ...]) -> dict[str, Any]:
    began = time.perf_counter()
    line = [sys.executable, "-m", "agent.cli.entry", "profile", *MODEL, *options, "--json", "--no-store", "--force"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    (point,) = json.loads(done.stdout)["points"]
    rate = point["inferences_per_second"]
    return {
        "protocol": name,
        "seconds": seconds,
        "repeats": point["repeats"],
        "rate": rate["mean"],
        "metric": point["convergence"]["metric"],
        "width": point["convergence"]["relative_half_width"],
    }
