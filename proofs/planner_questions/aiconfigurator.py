"""Asks AIConfigurator for the latencies of a model on an exported system, and on one of twice the rates; prints JSON.

Argument: the file of the system.
"""

import json
import sys
import tempfile
from pathlib import Path

import yaml
from aiconfigurator.cli.api import cli_estimate

MODEL = "Qwen/Qwen3-0.6B"
RATES = ("mem_bw", "bfloat16_tc_flops")


def estimate(system: str, folder: Path, devices: int = 1) -> dict:
    """Return the estimates in milliseconds for one request of 512 tokens and an output of 64."""
    found = cli_estimate(
        MODEL, system, mode="static", backend_name="vllm", database_mode="SOL", isl=512, osl=64, batch_size=1,
        tp_size=devices, systems_paths=f"default,{folder}",
    )  # fmt: skip
    return {"ttft_ms": float(found.ttft), "tpot_ms": float(found.tpot)}


path = Path(sys.argv[1]).absolute()
system = yaml.safe_load(path.read_text())
answers = {"gpu": system["gpu"], "measured": estimate(path.stem, path.parent)}
with tempfile.TemporaryDirectory() as folder:
    faster = {**system["gpu"], **{name: 2 * system["gpu"][name] for name in RATES}}
    Path(folder, "twice.yaml").write_text(yaml.safe_dump({**system, "gpu": faster}))
    answers["twice"] = estimate("twice", Path(folder))
try:
    estimate(path.stem, path.parent, devices=2)
except Exception as error:  # noqa: BLE001  any refusal
    answers["two_devices"] = type(error).__name__
print(json.dumps(answers), file=sys.__stdout__)
