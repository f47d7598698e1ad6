"""A profile document with one point, and its text."""

from __future__ import annotations

import json
from typing import Any

from agent.render.profile_text import profile_text
from command import ROOT

FIGURE = {"mean": 4.0, "lower": 3.0, "upper": 5.0, "source": "mixed"}
LATENCY = {"p50": 0.25, "p99": 0.3}
COST = {
    "currency": None,
    "usage": {
        "utilization": 1.0,
        "per_inference": {
            "energy": {"mean": 2e-6, "lower": 1e-6, "upper": 3e-6},
            "capital": {"mean": 0.5, "lower": 0.25, "upper": None},
        },
        "per_million_output_tokens": None,
    },
    "allocation": None,
    "missing": [{"name": "utilization", "effect": "no allocation basis"}],
    "assumed": [{"name": "pue", "value": 1.54, "source": "a survey"}],
}
POINT = {
    "name": "batch=1",
    "valid": True,
    "mean_latency_seconds": {"mean": 0.26, "lower": None, "upper": None},
    "latency_seconds": LATENCY,
    "inferences_per_second": {"mean": 4.0, "lower": 3.9, "upper": 4.1},
    "output_tokens_per_inference": None,
    "output_tokens_per_second": None,
    "time_to_first_token_seconds": None,
    "inter_token_latency_seconds": None,
    "energy": {
        "joules_per_inference": {"total": FIGURE, "idle": None, "dynamic": None},
        "estimated_share": 0.823,
        "joules_per_output_token": None,
    },
    "power": {"mean_watts": FIGURE},
    "cost": COST,
    "conditions": {"max_other_cpus": None, "devices": [], "gpus": []},
    "checks": [],
}
REFUSED = {
    **POINT,
    "name": "batch=2",
    "valid": False,
    "energy": None,
    "power": None,
    "cost": None,
    "checks": [{"name": "repeats", "status": "failed", "severity": "invalid", "message": "2 complete repeats"}],
}
DOCUMENT = {
    "id": "20250101-000000-abcd",
    "status": "complete",
    "plan": {"mode": "quick", "repeats": 3, "window_seconds": 1.5, "tolerance": None},
    "host": {"name": "here", "cpu_model": "A processor", "logical_cpus": 8, "virtual": False},
    "engine": {"name": "engine", "version": "1", "provider": "cpu"},
    "workload": {
        "name": "onnx",
        "parameter_count": 1_500_000,
        "precision": None,
        "settings": {"model": "/models/m.onnx"},
    },
    "coverage": {
        "boundary": "components",
        "includes": [{"device": "package-0", "domain": "package"}],
        "not_covered": ["memory"],
        "source": "mixed",
        "relative_uncertainty": 0.5,
    },
    "host_state": {"before": None, "after": None},
    "baselines": [{"state": "loaded", "when": "before", "watts": FIGURE}],
    "points": [POINT, REFUSED],
    "notes": ["look here first"],
}


def shown(document: dict[str, Any], width: int = 200) -> list[str]:
    return profile_text(document, width).splitlines()


def example() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
    return document


def failed(name: str, message: str, severity: str = "warning") -> dict[str, str]:
    return {"name": name, "status": "failed", "severity": severity, "message": message}
