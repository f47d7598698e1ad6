"""Benchmark Report 0.2 of llm-d, one file for each point of a load.

Version 0.2.1 only adds fields of images, video and audio, so 0.2 is declared. The schema has a field for power; energy
and cost are in `results.profiling`, their boundary and prices in a component of kind `generic`, which both take any
field. https://github.com/llm-d/llm-d-benchmark/tree/main/llmdbenchmark/analysis/benchmark_report
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec

from agent.exports.loads import left_out, loads_of, sources
from agent.exports.machines import machine_of, model_of
from agent.exports.records import Exported, Exporter, ExportError, Fact, json_file

if TYPE_CHECKING:
    from agent.cost.interval import Interval
    from agent.exports.loads import Load
    from agent.exports.records import ExportRequest
    from agent.profiling.records import UncertainValue
    from agent.profiling.run_facts import LatencySummary
    from agent.profiling.serving_records import Lengths, ServingFigures

VERSION = "0.2"
_TOOL = "Inferometer"
_MACHINE, _SERVER = "machine", "server"
_STATISTICS = {
    "mean": "mean",
    "min": "minimum",
    "p50": "p50",
    "p90": "p90",
    "p95": "p95",
    "p99": "p99",
    "max": "maximum",
}


def _files(request: ExportRequest) -> Exported:
    loads = list(loads_of(request.documents))
    invalid = left_out(request.documents)
    missing = [] if loads else ["a load on a server: the profiles have none", *invalid]
    for document in request.documents:
        if machine_of(document).count > 1 and request.number("tp") is None:
            missing.append("the devices of a tensor-parallel group: --set tp=N")
        if not (request.text("model") or model_of(document)):
            missing.append("the model: --set model=NAME")
    if missing:
        raise ExportError(list(dict.fromkeys(missing)), "" if loads else "inferometer profile endpoint --url URL")
    digits = len(str(len(loads)))
    reports = [_report(request, each, number) for number, each in enumerate(loads)]
    files = {f"stage_{number:0{digits}}.json": json_file(_known(each)) for number, each in enumerate(reports)}
    return Exported(files, (f"{len(files)} reports; the power is {sources(loads)}", *invalid))


def _report(request: ExportRequest, load: Load, stage: int) -> dict[str, Any]:
    """Return the report of one point; a field whose value is not known is None."""
    document, point = load.document, load.point
    power = sources([load])
    seconds = sum(each.duration_seconds for each in point.phases)
    return {
        "version": VERSION,
        "run": {
            "uid": f"{document.id}-{stage}",
            "eid": document.id,
            "time": {"duration": f"PT{seconds:.3f}S"},
            "description": f"{point.name}; the power is {power}",
            "keywords": ["inferometer", f"power: {power}"],
        },
        "scenario": {"stack": [_server(request, load), _machine(load)], "load": _load(load, stage)},
        "results": {
            "request_performance": {"aggregate": _performance(load)},
            "observability": {
                "components": [{"component_label": _MACHINE, "aggregate": {"power_consumption": _power(load)}}],
                "power_source": power,
            },
            "profiling": {"inferometer": _energy_and_cost(load)},
        },
    }


def _component(label: str, standardized: dict[str, Any], description: str) -> dict[str, Any]:
    metadata = {"label": label, "cfg_id": _checksum(standardized), "description": description}
    return {"metadata": metadata, "standardized": standardized, "native": {}}


def _checksum(content: object) -> str:
    """Return the checksum that identifies a configuration."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _server(request: ExportRequest, load: Load) -> dict[str, Any]:
    """Return the inference engine with its model and devices."""
    document, machine = load.document, machine_of(load.document)
    standardized = {
        "kind": "inference_engine",
        "tool": document.engine.name,
        "tool_version": document.engine.version,
        "role": "replica",
        "replicas": 1,
        "model": {"name": request.text("model") or model_of(document)},
        "accelerator": {
            "model": machine.name or "unknown",
            "count": machine.count,
            "parallelism": {"tp": round(request.number("tp") or 1)},
        },
    }
    return _component(_SERVER, standardized, "the measured server")


def _machine(load: Load) -> dict[str, Any]:
    """Return the measured machine: the boundary of its energy, its sensors, its idle power, and the prices."""
    document = load.document
    standardized = {
        "kind": "generic",
        "tool": _TOOL,
        "tool_version": document.inferometer_version,
        "boundary": document.coverage.boundary,
        "power_source": document.coverage.source,
        "relative_uncertainty": document.coverage.relative_uncertainty,
        "includes": document.coverage.includes,
        "not_covered": document.coverage.not_covered,
        "idle_watts": [
            {"state": each.state, "when": each.when, **msgspec.structs.asdict(each.watts)}
            for each in document.baselines
            if each.watts is not None
        ],
        "tariff": document.tariff,
    }
    return _component(_MACHINE, msgspec.to_builtins(standardized), "the machine whose energy was measured")


def _load(load: Load, stage: int) -> dict[str, Any]:
    """Return the load; the lengths are fixed if they were requested as one number."""
    settings = load.document.workload.settings
    served = load.point.serving
    rate = load.point.parameters.get("rate")
    source = "unknown" if load.document.plan.mode == "imported" else "sampled" if settings.get("prompts") else "random"
    return {
        "metadata": {"cfg_id": _checksum([settings, load.point.parameters])},
        "standardized": {
            "tool": "inferometer profile endpoint",
            "tool_version": load.document.inferometer_version,
            "source": source,
            "stage": stage,
            "input_seq_len": _length(load.prompt_tokens, served.input_tokens if served else None),
            "output_seq_len": _length(load.output_tokens, served.output_tokens if served else None),
            "rate_qps": rate if isinstance(rate, int | float) and rate > 0 else None,
            "concurrency": load.clients,
        },
        "native": {"config": {"settings": settings, "point": load.point.parameters}},
    }


def _length(requested: int | None, found: Lengths | None) -> dict[str, Any] | None:
    if requested is not None:
        return {"distribution": "fixed", "value": requested}
    if found is None:
        return None
    return {"distribution": "other", "value": found.mean, "min": found.minimum, "max": found.maximum}


def _performance(load: Load) -> dict[str, Any]:
    """Return the requests, latencies and rates of a point in the units of the schema."""
    point, served = load.point, load.point.serving
    rates = {"input_token_rate": point.input_tokens_per_second, "output_token_rate": point.output_tokens_per_second}
    return {
        "requests": None if served is None else _requests(served),
        "latency": {
            "time_to_first_token": _statistics(point.time_to_first_token_seconds, "s"),
            "time_per_output_token": _statistics(load.token_latency, "s/token"),
            "inter_token_latency": _statistics(point.inter_token_latency_seconds, "s/token"),
            "request_latency": _statistics(point.latency_seconds, "s"),
        },
        "throughput": {
            **{name: _rate(rate, "tokens/s") for name, rate in rates.items()},
            "request_rate": _rate(point.inferences_per_second, "queries/s"),
        },
    }


def _requests(served: ServingFigures) -> dict[str, Any]:
    return {
        "total": served.requests,
        "failures": sum(served.errors.values()),
        "input_length": _lengths(served.input_tokens),
        "output_length": _lengths(served.output_tokens),
    }


def _lengths(found: Lengths | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"units": "count", "mean": found.mean, "min": found.minimum, "max": found.maximum}


def _statistics(latency: LatencySummary | None, units: str) -> dict[str, Any] | None:
    if latency is None:
        return None
    return {"units": units, **{name: getattr(latency, field) for name, field in _STATISTICS.items()}}


def _rate(rate: Interval | None, units: str) -> dict[str, Any] | None:
    return None if rate is None else {"units": units, "mean": rate.mean}


def _power(load: Load) -> dict[str, Any] | None:
    """Return the mean and the peak power of the machine; the unit of the schema is spelled so."""
    power = load.point.power
    return None if power is None else {"units": "Watts", "mean": power.mean_watts.mean, "max": power.peak_watts}


def _energy_and_cost(load: Load) -> dict[str, Any]:
    """Return energy and cost of a point with their bounds; every energy names its source."""
    energy, cost = load.point.energy, load.point.cost
    found: dict[str, Any] = {"profile": load.document.id, "point": load.point.name}
    if energy is not None:
        found["energy"] = {
            "joules_per_request": _uncertain(energy.joules_per_inference.total),
            "joules_per_input_token": _uncertain(energy.joules_per_input_token),
            "joules_per_output_token": _uncertain(energy.joules_per_output_token),
            "estimated_share": energy.estimated_share,
        }
    if cost is not None:
        found["cost"] = msgspec.to_builtins(cost)
    return found


def _uncertain(value: UncertainValue | None) -> dict[str, Any] | None:
    return None if value is None else msgspec.to_builtins(value)


def _known(content: Any) -> Any:
    """Return a document without the fields that are None, as the schema's own writer does."""
    if isinstance(content, dict):
        return {name: _known(value) for name, value in content.items() if value is not None}
    return [_known(value) for value in content] if isinstance(content, list | tuple) else content


EXPORTER = Exporter(
    "benchmark-report",
    "one JSON file of llm-d Benchmark Report 0.2 for each point of a load",
    _files,
    folder=True,
    facts=(
        Fact("model", "name of the model, by default the one that the server reports"),
        Fact("tp", "devices of a tensor-parallel group, by default 1 on one device", number=True),
    ),
)
