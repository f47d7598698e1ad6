"""A profile of a load on a server, derived from requests and samples with round numbers."""

from __future__ import annotations

import json
from typing import Any

from msgspec import to_builtins

from agent.cost.tariff import Tariff
from agent.profiling.points import analyze
from agent.profiling.serving_records import RateTrial, ServiceLevel, SustainableRate
from command import ROOT
from loads import load_window, report, request, streamed
from synthetic_run import PACKAGE, idle, power_steps, read, sensors

LEVEL = ServiceLevel(0.9, ttft_seconds=0.5, tpot_seconds=0.05)
PRICES = Tariff(price_per_kwh=0.3, currency="EUR", capital=9000, utilization=0.3)
_SERIES = read(PACKAGE, power_steps((50, 4), (100, 31), (50, 9)), 44)
_IDLE = [idle("idle_loaded", 0.5, 2.5), idle("idle_loaded", 36, 38, side=1)]


def load(rate: float, seconds: float, first: float, arrivals: str = "poisson", failed: int = 0) -> Any:
    """A load of this rate whose first token takes `first` seconds, and 10 more come 20 ms apart."""
    requests = [streamed(number / rate, first, 0.02, late=0.0005) for number in range(round(rate * seconds))]
    requests += [request(1.0, 1.1, outcome="http 500")] * failed
    return report(requests, arrivals, (1, 1))


def points(name: str, loads: dict[float, Any], level: ServiceLevel | None = LEVEL) -> list[dict[str, Any]]:
    """Return the points of loads by the value of a parameter, three windows of 5 s each."""
    windows = []
    for position, (value, each) in enumerate(loads.items()):
        for repeat in (1, 2, 3):
            start = 4.5 + 15 * position + 5 * (repeat - 1)
            point = json.dumps({name: value}, separators=(",", ":"))
            windows.append(load_window(repeat, start, start + 5, each, point, steps=(0.02,) * 250))
    found = analyze([_IDLE[0], *windows, _IDLE[1]], sensors(_SERIES), PRICES, level=level)
    return [to_builtins(point) for point in found]


def served(found: list[dict[str, Any]], rate: SustainableRate | None = None) -> dict[str, Any]:
    """Return the example document with these points."""
    example = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
    workload = {**example["workload"], "name": "endpoint", "parameter_count": None, "model_bytes": None}
    workload["settings"] = {"url": "http://127.0.0.1:8000", "model": "smollm2"}
    engine = {"name": "llama.cpp", "version": "", "provider": "server", "threads": None}
    host = {**example["host"], "name": "here", "cpu_model": "A processor", "logical_cpus": 8}
    coverage = {**example["coverage"], "boundary": "package", "not_covered": [], "source": "measured"}
    coverage |= {"includes": [{"device": "package-0", "domain": "package"}], "relative_uncertainty": None}
    return {
        **example,
        "id": "20260131-083000-01a0",
        "host": host,
        "engine": engine,
        "workload": workload,
        "coverage": coverage,
        "baselines": [],
        "host_state": {"before": None, "after": None},
        "points": found,
        "notes": [],
        "sustainable_rate": None if rate is None else to_builtins(rate),
    }


OPEN = points("rate", {8.0: load(8, 5, 0.1), 16.0: load(16, 5, 0.6, failed=2)})
CLOSED = points("concurrency", {4: load(8, 5, 0.1, "closed")}, None)
FOUND = SustainableRate(
    LEVEL, 8.0, 9.0, "rate=8.0", (RateTrial(8.0, "met", 120, 1.0, 0.975, ""), RateTrial(9.0, "missed", 120, 0, 0, ""))
)
