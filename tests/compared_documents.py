"""Profiles for comparisons: the example document with other hosts, precisions, energies and speeds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from agent.cost.tariff import Tariff
from agent.profiling.pricing import price_document
from agent.profiling.records import Document
from command import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

PRICES = Tariff(price_per_kwh=0.25, currency="EUR", pue=1.0, capital=8760.0, life_years=1.0, utilization=0.5)
"""An hour of the machine costs 1 EUR before energy."""
_TEXT = (ROOT / "docs/profile.example.json").read_text(encoding="utf-8")
_NUMBERS = ("mean", "lower", "upper")


def profile(
    number: int = 0,
    *,
    precision: str = "fp32",
    host: str = "one",
    source: str = "measured",
    energy: float = 1.0,
    speed: float = 1.0,
    tariff: Tariff | None = PRICES,
    **changed: Any,
) -> Document:
    """Return the example with its energies and rates times a factor; `number` makes its id."""
    found = json.loads(_TEXT)
    found |= {"id": f"20260101-00{number:04d}-aaaa", "created": f"2026-01-{1 + number // 100:02d}T00:00:00+00:00"}
    found["workload"] |= {"precision": precision}
    found["workload"]["settings"] |= {"precision": precision}
    found["host"] |= {"id": host, "name": host}
    found["coverage"] |= {"source": source}
    for point in found["points"]:
        _scale_energy(point, energy)
        for name in ("inferences_per_second", "output_tokens_per_second", "input_tokens_per_second"):
            point[name] = _scaled(point[name], speed)
        point["mean_latency_seconds"] = _scaled(point["mean_latency_seconds"], 1 / speed)
    found |= changed
    return price_document(msgspec.convert(found, Document), tariff)


def runs(count: int, start: int = 0, spread: float = 0.01, **facts: Any) -> list[Document]:
    """Return profiles of one setup whose energies and speeds differ by `spread` from one to the next."""
    energy, speed = facts.pop("energy", 1.0), facts.pop("speed", 1.0)
    steps = [(index - (count - 1) / 2) * spread for index in range(count)]
    return [
        profile(start + index, energy=energy * (1 + step), speed=speed * (1 - step), **facts)
        for index, step in enumerate(steps)
    ]


def _scale_energy(point: dict[str, Any], factor: float) -> None:
    """Scale the energies of a point; the bounds of its sensors become 1 % of the mean."""
    energy = point["energy"]
    for name in ("mean", "standard_deviation", "lower", "upper"):
        energy["repeats"][name] *= factor
    mean = energy["repeats"]["mean"]
    energy["repeats"] |= {"lower": mean * 0.95, "upper": mean * 1.05}
    total = {"mean": mean, "lower": mean * 0.94, "upper": mean * 1.06, "source": "measured"}
    energy["joules_per_inference"] |= {"total": total}
    energy["background_share"] = 0.0
    for name in ("joules_per_input_token", "joules_per_output_token", "joules_per_total_token"):
        energy[name] = {**_scaled(energy[name], factor), "source": "measured"}
    for phase in energy["phases"]:
        share = phase["joules_per_inference"]["mean"] * factor
        phase["joules_per_inference"] = {
            **phase["joules_per_inference"],
            "mean": share,
            "lower": 0.0,
            "upper": 9 * share,
        }
        phase["sensors"] = [{"device": "package-0", "domain": "package", "joules_per_inference": share}]
    for sensor in energy["sensors"]:
        sensor["joules_per_inference"] |= {"total": total}


def _scaled(value: dict[str, Any] | None, factor: float) -> dict[str, Any] | None:
    return value and {**value, **{name: value[name] * factor for name in _NUMBERS}}


def ids(documents: Sequence[Document]) -> list[str]:
    return [document.id for document in documents]
