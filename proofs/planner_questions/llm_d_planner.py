"""Asks llm-d-planner for its cheapest hardware, with its own benchmarks beside those of an export.

Arguments: the folder of the export, a factor for the price of its hardware. Runs in the environment of the planner.
"""

import json
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from planner.planner import Planner
from planner.shared.schemas import DeploymentIntent

USERS = 500
USE_CASES = {
    "chatbot_conversational": (512, 256),
    "code_generation_detailed": (1024, 1024),
    "summarization_short": (4096, 512),
    "long_document_summarization": (10240, 1536),
}


def planner_with(export: Path, factor: float, folder: Path) -> Planner:
    """Return a planner whose catalog has the exported row, at a multiple of its price."""
    shutil.copytree(str(files("planner.data")), folder, dirs_exist_ok=True)
    path = folder / "configuration/gpu_catalog.json"
    catalog = json.loads(path.read_text())
    (row,) = json.loads((export / "gpu_catalog.json").read_text())["gpu_types"]
    row["cost_per_hour_usd"] *= factor
    catalog["gpu_types"].append(row)
    path.write_text(json.dumps(catalog))
    planner = Planner(data_dir=folder)
    planner.load_bundled_benchmarks()
    planner.load_benchmarks(export / "benchmarks.json")
    return planner


def answer(planner: Planner, use_case: str, *, simulated: bool) -> dict | None:
    """Return the cheapest recommendation, None without one; `simulated` includes the planner's own benchmarks."""
    spec = planner.generate_specification(DeploymentIntent(use_case=use_case, user_count=USERS))
    lengths = (spec.workload_profile.prompt_tokens, spec.workload_profile.output_tokens)
    found = planner.generate_recommendations(spec, include_near_miss=False, enable_estimated=simulated)
    if not found.lowest_cost:
        return {"lengths": lengths, "recommended": None}
    best = found.lowest_cost[0]
    return {
        "lengths": lengths,
        "recommended": {
            "hardware": best.gpu_config.gpu_type,
            "count": best.gpu_config.gpu_count,
            "replicas": best.gpu_config.replicas,
            "model": best.model_id,
            "usd_per_hour": best.cost_per_hour_usd,
            "ttft_p95_ms": best.predicted_ttft_p95_ms,
            "itl_p95_ms": best.predicted_itl_p95_ms,
            "e2e_p95_ms": best.predicted_e2e_p95_ms,
            "requests_per_second": best.predicted_throughput_qps,
            "meets_slo": best.meets_slo,
        },
    }


with tempfile.TemporaryDirectory() as home:
    asked = planner_with(Path(sys.argv[1]), float(sys.argv[2]), Path(home))
    answers = {
        case: {"beside": answer(asked, case, simulated=True), "alone": answer(asked, case, simulated=False)}
        for case in USE_CASES
    }
    print(json.dumps(answers))
