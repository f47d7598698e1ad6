"""Reads profile documents of every published schema version: older documents are upgraded, newer ones refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from agent.cost.tariff import Tariff
from agent.profiling.analysis.statistics import supports_percentile
from agent.profiling.records import SCHEMA_VERSION
from agent.runtime.text_input import parser_fault

_Json = dict[str, Any]
_MAJOR = int(SCHEMA_VERSION.partition(".")[0])
_CHECKS = {
    "same_window": "window_matches_iterations",
    "sensors_moved": "sensors_not_stuck",
    "own_load_prevails": "workload_dominates",
    "not_stolen": "steal_time",
    "no_other_load": "background_load",
    "processors_cool": "cpu_not_throttled",
    "accelerators_free": "accelerators_idle_at_baseline",
}
_CONDITIONS = {
    "own_processors": "self_cpus",
    "other_processors": "other_cpus",
    "most_other_processors": "max_other_cpus",
    "stolen_share": "steal_share",
    "heat_events": "thermal_throttle_events",
}
_DEVICE = {
    "start_clock_hertz": "start_frequency_hertz",
    "end_clock_hertz": "end_frequency_hertz",
    "start_limit_watts": "start_power_limit_watts",
    "end_limit_watts": "end_power_limit_watts",
    "throttled_by": "throttle_reasons",
    "idle_utilization": "baseline_utilization",
}
_GPU = {"own_share": "self_share", "most_other_share": "max_other_share", "other_programs": "other_processes"}
_HOST_STATE = {
    "governors": "cpu_governors",
    "clock_limits_hertz": "cpu_frequency_limits_hertz",
    "processor_celsius": "cpu_celsius",
}
_NO_LIMITS = {"cpu_quota_cpus": None, "usable_cpus": None, "memory_limit_bytes": None}
_PER = {
    "per_inference": "joules_per_inference",
    "per_input_token": "joules_per_input_token",
    "per_output_token": "joules_per_output_token",
    "per_token": "joules_per_total_token",
    "counted": "in_total",
    "devices": "sensors",
}


_EARLIER = {"2.0", "2.1", "2.2", "2.3", "2.4"}
_NO_TARIFF: _Json = json.loads(msgspec.json.encode(Tariff()))
_TAILS = {"p90": 0.90, "p95": 0.95, "p99": 0.99}


class ProfileError(ValueError):
    """A text is not a profile of a supported version; the message has the reason and the remedy."""


def parse(text: str) -> _Json:
    """Return a stored or exported profile as a document of the present schema. Raises ProfileError."""
    try:
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"not a profile: {parser_fault(error)}") from error
    if not isinstance(document, dict) or document.get("schema") != "inferometer.profile":
        raise ProfileError("not a profile: its `schema` is not inferometer.profile")
    version = document.get("schema_version")
    try:
        major = int(str(version).partition(".")[0])
    except ValueError:
        raise ProfileError(f"not a profile: its `schema_version` {version!r} is not a version") from None
    if major > _MAJOR:
        raise ProfileError(
            f"its schema version is {version}, this inferometer reads up to {_MAJOR}.x: install a newer inferometer"
        )
    try:
        return _completed(document if major == _MAJOR else _from_1(document))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ProfileError(f"not a profile: it does not fit its schema version {version} ({error!r})") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _completed(document: _Json) -> _Json:
    """Return a 2.x document with every field of the present version: its default if an earlier version lacks it."""
    points = [
        {
            **point,
            "serving": point.get("serving"),
            "reported": point.get("reported", []),
            "model": point.get("model"),
            "work": point.get("work", []),
            "modeled_wall": point.get("modeled_wall"),
            "convergence": {"correlation": None, "equivalent_to": None, **point["convergence"]},
            "conditions": {"start_power_limits_watts": {}, "end_power_limits_watts": {}, **point["conditions"]},
            "energy": point["energy"] and _completed_energy(point["energy"]),
            "cost": point["cost"] and _completed_cost(point["cost"]),
        }
        for point in document["points"]
    ]
    rate, tariff = document.get("sustainable_rate"), document["tariff"]
    version = SCHEMA_VERSION if document["schema_version"] in _EARLIER else document["schema_version"]
    return {
        **document,
        "schema_version": version,
        "points": points,
        "plan": {"equivalence": None, **document["plan"]},
        "host": {"labels": {}, **document["host"]},
        "coverage": {"parts": [], **document["coverage"]},
        "engine": {"device": None, "cpu_operator_share": None, "cpus": None, **document["engine"]},
        "workload": {"computes_in": None, **document["workload"]},
        "sustainable_rate": rate,
        **{name: document.get(name) for name in ("startup", "wall_model", "ambient")},
        **{name: document.get(name, []) for name in ("ceilings", "cross_checks", "meters")},
        "tariff": tariff and {**_NO_TARIFF, **tariff},
    }


def _completed_energy(energy: _Json) -> _Json:
    return {**energy, "phases": [{"sensors": [], **phase} for phase in energy["phases"]]}


def _completed_cost(cost: _Json) -> _Json:
    found = {}
    for basis in ("usage", "allocation"):
        prices = cost[basis]
        found[basis] = prices and {
            **prices,
            "per_hour": {"lines": None, **prices["per_hour"]},
            "carbon_grams_per_inference": prices.get("carbon_grams_per_inference"),
        }
    return {**cost, **found}


def _from_1(old: _Json) -> _Json:
    """Return a 1.x document as a 2.0 document; fields that it does not have are null or empty."""
    workload, batches = old["workload"], old["workload"]["settings"].get("batches")
    settings = {name: value for name, value in workload["settings"].items() if name != "batches"}
    effort, state, sampler = old["effort"], old.get("surroundings") or {}, old.get("sampler")
    swept = [int(batch) for batch in batches.split(",")] if batches else [point["batch"] for point in old["points"]]
    host = {name: value or None for name, value in old["host"].items() if name not in {"cpu_flags", "virtual", "cores"}}
    coverage = old["coverage"]
    return {
        "schema": "inferometer.profile",
        "schema_version": SCHEMA_VERSION,
        **{name: old[name] for name in ("id", "created", "inferometer_version", "status")},
        "plan": {
            "mode": effort["name"],
            **{name: effort[name] for name in ("idle_seconds", "warmup_seconds", "repeats", "window_seconds")},
            "min_iterations": effort["iterations"],
            "tolerance": effort.get("tolerance"),
            "budget_seconds": effort.get("budget_seconds"),
            "limiting_sensor": effort.get("lengthened_for"),
            "sweep": {"batch": swept},
            "order_seed": effort.get("order_seed"),
        },
        "host": {
            **host,
            "cpu_flags": old["host"]["cpu_flags"],
            "logical_cpus": old["host"]["cores"] or None,
            "virtual": old["host"]["virtual"],
        },
        "engine": {**old["engine"], "threads": old["engine"]["threads"] or None},
        "workload": {"inputs": [], **_renamed(workload, {"parameters": "parameter_count"}), "settings": settings},
        "devices": [_device(device) for device in old["devices"]],
        "coverage": _renamed(coverage, {"uncertainty": "relative_uncertainty"}),
        "host_state": {
            "before": state.get("start") and _renamed(state["start"], _HOST_STATE) | _NO_LIMITS,
            "after": state.get("end") and _renamed(state["end"], _HOST_STATE) | _NO_LIMITS,
        },
        "sampler": sampler and _sampler(sampler),
        "baselines": [_baseline(each) for each in old["baselines"]],
        "idle_drift": [
            _renamed(each, {"watts": "change_watts", "share": "relative_change", "allowed": "limit"})
            for each in old.get("idle_drift", ())
        ],
        "points": [_point(point) for point in old["points"]],
        "tariff": old["tariff"],
        "notes": old["notes"],
    }


def _renamed(record: _Json, names: dict[str, str]) -> _Json:
    return {names.get(name, name): value for name, value in record.items()}


def _device(old: _Json) -> _Json:
    names = {"uncertainty": "relative_uncertainty", "counted": "in_total"}
    sensors = [_renamed(sensor, names) for sensor in old["sensors"]]
    for sensor in sensors:
        sensor["refresh_seconds"] = sensor["refresh_seconds"] or None
        sensor["relative_uncertainty"] = sensor["relative_uncertainty"] or None
    return {**old, "name": old["name"] or None, "sensors": sensors}


def _sampler(old: _Json) -> _Json:
    found = _renamed(old, {"reason": "limitation", "beats_missed": "reads_missed", "beats_late": "reads_late"})
    new = {"reads_throttled": 0, "throttled": [], "cpu_budget": None, "cpu_share": None, "faults": []}
    return {**found, "limitation": old["reason"] or None, **new}


def _baseline(old: _Json) -> _Json:
    total = next((each["watts"] for each in old["power"] if each["device"] == "total"), None)
    return {
        "state": old["state"],
        "when": old.get("when", "before"),
        "duration_seconds": old["duration_seconds"],
        "watts": total,
        "sensors": [each for each in old["power"] if each["device"] != "total"],
    }


def _point(old: _Json) -> _Json:
    power, energy, precision = old["power"], old["energy"], old.get("precision") or {}
    taken = {"batch", "precision", "agreement", "findings", "conditions", "energy", "power", "cost"}
    mean = sum(phase["latency_seconds"]["mean"] for phase in old["phases"])
    whole = len(old["phases"]) == 1  # with several phases, 1.x paired latencies of iterations that never ran together
    return {
        **{name: value for name, value in old.items() if name not in taken},
        "parameters": {"batch": old["batch"]},
        "mean_latency_seconds": {"mean": mean, "lower": None, "upper": None},
        "latency_seconds": _latencies(old["latency_seconds"]) if whole else None,
        "time_to_first_token_seconds": _latencies(old["time_to_first_token_seconds"]),
        "inter_token_latency_seconds": _latencies(old["inter_token_latency_seconds"]),
        "phases": [{**phase, "latency_seconds": _latencies(phase["latency_seconds"])} for phase in old["phases"]],
        "energy": energy and _energy(energy, old["repeats"]),
        "power": power and _renamed(power, {"mean": "mean_watts", "peak": "peak_watts"}),
        "cost": old["cost"] and _cost(old["cost"]),
        "convergence": {
            "metric": precision.get("of", "inferences_per_second").replace("energy_per", "joules_per"),
            "relative_half_width": precision.get("half_width"),
            "tolerance": precision.get("tolerance"),
            "converged": precision.get("met"),
            "repeats_needed": precision.get("repeats_needed"),
        },
        "sensor_agreement": [
            _renamed(each, {"share": "relative_difference", "believe": "preferred", "because": "reason"})
            for each in old.get("agreement", ())
        ],
        "conditions": _conditions(old.get("conditions") or {}),
        "checks": [_check(finding) for finding in old["findings"]],
    }


def _latencies(old: _Json | None) -> _Json | None:
    """Return latencies without percentiles that need a larger count."""
    return old and {
        name: value if name not in _TAILS or supports_percentile(old["count"], _TAILS[name]) else None
        for name, value in old.items()
    }


def _energy(old: _Json, repeats: int) -> _Json:
    total = old["per_inference"]["total"]["mean"]
    unknown = dict.fromkeys(("standard_deviation", "cv", "low", "high"))
    summary = old.get("repeats") or {"count": repeats, "mean": total, **unknown}
    return {
        **_renamed(old, _PER),
        "background_share": None,
        "repeats": _renamed(summary, {"low": "lower", "high": "upper"}),
        "sensors": [_renamed(each, _PER) for each in old["devices"]],
        "phases": [_renamed(each, _PER) for each in old["phases"]],
    }


def _cost(old: _Json) -> _Json:
    found = _renamed(old, {"no_allocation": "no_allocation_reason"})
    for basis in ("usage", "allocation"):
        found[basis] = old[basis] and _renamed(old[basis], {"no_total": "no_total_reason"})
    found["missing"] = [_renamed(each, {"without": "effect"}) for each in old["missing"]]
    return found


def _conditions(old: _Json) -> _Json:
    return {
        **{name: old.get(former) for former, name in _CONDITIONS.items()},
        "baseline_other_cpus": None,
        "quota_stopped_share": None,
        "devices": [_renamed(each, _DEVICE) for each in old.get("devices", ())],
        "gpus": [_renamed(each, _GPU) for each in old.get("gpus", ())],
    }


def _check(old: _Json) -> _Json:
    return {
        "name": _CHECKS.get(old["expectation"], old["expectation"]),
        "status": "passed" if old["passed"] else "failed",
        "severity": "invalid" if old["fatal"] else "warning",
        "message": old["message"],
    }
