"""Points of a fleet: machines with the same work, as rows of the store."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from store.fleet_records import Machine
from store.profile_point import ProfilePoint

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY_NS = 86_400 * 10**9
START_NS = 1_767_225_600 * 10**9
"""2026-01-01."""
COST_GROUP = (
    *("work", "workload", "model", "precision", "unit", "hardware", "engine"),
    *("boundary", "energy_source", "currency", "cost_basis"),
)
EPYC, XEON = "2x AMD EPYC 9654 + 8x NVIDIA H100", "2x Intel Xeon 8592+"


def point(host: str, number: int = 0, joules: float | None = 2.0, **changes: Any) -> ProfilePoint:
    """Return a point of a profile that a host made on the day `number`, at 1 EUR per 2 J of a token."""
    created_ns = START_NS + number * DAY_NS
    cost = None if joules is None else joules / 2
    values = {
        "profile_id": f"{host}-{number}",
        "host_id": f"id-of-{host}",
        "host_name": host,
        "hardware": EPYC,
        "site": "ams",
        "rack": "r1",
        "owner": "",
        "created_ns": created_ns,
        "date": (date := datetime.fromtimestamp(created_ns // 10**9, UTC).date().isoformat()),
        "month": date[:7],
        "workload": "endpoint",
        "model": "llama-3-8b",
        "precision": "fp16",
        "engine": "vllm",
        "engine_version": "0.11",
        "inferometer_version": "0.1.0",
        "schema_version": "2.5",
        "point": "rate=8",
        "parameters": '{"rate":8}',
        "unit": "output token",
        "work": 1,
        "setup": 11,
        "valid": True,
        "repeats": 5,
        "energy_source": "measured",
        "boundary": "wall",
        "currency": "EUR",
        "cost_basis": "allocation",
        "joules_per_unit": joules,
        "joules_per_unit_lower": joules,
        "joules_per_unit_upper": joules,
        "output_tokens_per_second": 1000.0,
        "inferences_per_second": 10.0,
        "cost_per_million_units": cost,
        "cost_per_million_units_lower": cost,
        "cost_per_million_units_upper": cost,
    }
    found = {**values, **changes}
    return ProfilePoint(**{"cost_group": hash(tuple(found[name] for name in COST_GROUP)), **found})


def machine_named(host: str) -> Machine:
    """Return a host with the work of `point`, as a query returns it."""
    work = ("endpoint", "llama-3-8b", "fp16", "vllm", "0.11", "rate=8")
    return Machine(f"id-of-{host}", host, EPYC, "ams", "r1", 1, *work)


def machine(host: str, energies: Iterable[float], start: int = 0, **changes: Any) -> list[ProfilePoint]:
    """Return a point a day with these energies."""
    return [point(host, start + day, joules, **changes) for day, joules in enumerate(energies)]


def fleet(hosts: int, profiles: int, scatter: float = 0.01, seed: int = 1, **changes: Any) -> list[ProfilePoint]:
    """Return machines of 2 J a token, whose means and profiles scatter by this share."""
    source = random.Random(seed)
    found = []
    for number in range(hosts):
        mean = 2.0 * source.gauss(1.0, scatter)
        energies = [mean * source.gauss(1.0, scatter) for _ in range(profiles)]
        found += machine(f"node{number:03d}", energies, **changes)
    return found
