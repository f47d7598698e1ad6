"""Benchmarks and a row of the hardware catalog for llm-d-planner 0.3.

The planner compares the latencies of benchmarks with the limits of a use case, at exactly the lengths of that use case,
and recommends hardware by its price. https://github.com/llm-d-incubation/llm-d-planner
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.exports.loads import cached_loads, left_out, loads_of, milliseconds, sources
from agent.exports.machines import check_alike, hour_price, machine_of, model_of
from agent.exports.records import Exported, Exporter, ExportError, Fact, json_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.exports.loads import Load
    from agent.exports.records import ExportRequest
    from agent.profiling.run_facts import LatencySummary

SHAPES = ((512, 256), (1024, 1024), (4096, 512), (10240, 1536))
"""The tokens of prompt and output of the planner's use cases."""
_STATISTICS = ("mean", "p90", "p95", "p99")
_REQUESTS = 300
"""A p99 needs 299 requests, and the planner's table has no row without it."""
_MOST_CACHED = 0.25
"""The largest share of a prompt from the cache of the server; the planner's own benchmarks have new prompts."""
_MOST_DIFFERENCE = 0.1
"""The share by which the mean lengths of the requests may differ from the requested ones."""


def _files(request: ExportRequest) -> Exported:
    check_alike(request.documents)
    invalid = left_out(request.documents)
    first = request.documents[0]
    wanted = [each for each in loads_of(request.documents) if each.shape in SHAPES]
    loads = [each for each in wanted if each.cached_share <= _MOST_CACHED]
    invalid += cached_loads(wanted, _MOST_CACHED)
    unmeasured = [reason for each in loads for reason in _unmeasured(each)] if loads else [_NO_LOAD]
    machine = machine_of(first)
    named = {
        "model_hf_repo": request.text("model") or model_of(first),
        "hardware": request.text("hardware") or machine.name,
    }
    count = round(request.number("hardware_count") or machine.count)
    memory = request.number("memory_gb") or machine.memory_gb
    missing = [f"the {name}: --set {name.removesuffix('_hf_repo')}=NAME" for name, value in named.items() if not value]
    if memory is None:
        missing.append("the memory of one device: --set memory_gb=GIB")
    price, no_price = hour_price(loads, "USD")
    if price is None and loads:
        missing.append(no_price)
    if unmeasured or missing or price is None:
        raise ExportError([*unmeasured, *(unmeasured and invalid), *missing], _COMMAND if unmeasured else "")
    power = f"the power is {sources(loads)}"
    note = f"cost_per_hour_usd is an hour at full use with its energy, over its devices ({count}); {power}"
    benchmarks = {
        "_metadata": {
            "description": f"Measured by Inferometer {first.inferometer_version}; {power}",
            "source": "inferometer",
            "confidence_level": "benchmarked",
            "profiles": [each.id for each in request.documents],
        },
        "benchmarks": [{**named, "hardware_count": count, **_row(each)} for each in loads],
    }
    row = {
        "gpu_type": named["hardware"],
        "aliases": [named["hardware"]],
        "memory_gb": memory,
        "compute_capability": request.text("compute_capability") or "unknown",
        "typical_use_cases": ["inference"],
        "cost_per_hour_usd": price / count,
        "availability": "owned",
        "notes": f"Inferometer {first.inferometer_version}: {note}",
    }
    files = {"benchmarks.json": json_file(benchmarks), "gpu_catalog.json": json_file({"gpu_types": [row]})}
    return Exported(files, (note, *_absent(loads), *invalid))


def _unmeasured(load: Load) -> Iterator[str]:
    """Yield the reasons for which a point has no row."""
    for name, latency in _latencies(load).items():
        absent = [statistic for statistic in _STATISTICS if milliseconds(latency, statistic) is None]
        if absent:
            count = load.point.serving.completed if load.point.serving else 0
            yield f"{load.name}: no {', '.join(absent)} of {name} from {count} requests; 299 are needed"
    for wanted, mean in ((load.prompt_tokens, load.mean_input_tokens), (load.output_tokens, load.mean_output_tokens)):
        if mean is None or wanted is None or abs(mean / wanted - 1) > _MOST_DIFFERENCE:
            found = "unknown" if mean is None else f"{mean:.1f}"
            yield f"{load.name}: {wanted} tokens of a prompt or an output, which were {found} on average"


def _latencies(load: Load) -> dict[str, LatencySummary | None]:
    """Return the latencies by the planner's names; its time between tokens is the mean one of a request."""
    point = load.point
    return {"ttft": point.time_to_first_token_seconds, "itl": load.token_latency, "e2e": point.latency_seconds}


def _row(load: Load) -> dict[str, Any]:
    """Return the figures of a point; the planner ignores the last two."""
    latencies = {
        f"{name}_{statistic}": milliseconds(latency, statistic)
        for name, latency in _latencies(load).items()
        for statistic in _STATISTICS
    }
    tokens, power = load.point.output_tokens_per_second, load.point.power
    return {
        "framework": load.document.engine.name,
        "framework_version": load.document.engine.version,
        "prompt_tokens": load.prompt_tokens,
        "output_tokens": load.output_tokens,
        **latencies,
        "mean_input_tokens": load.mean_input_tokens,
        "mean_output_tokens": load.mean_output_tokens,
        "requests_per_second": load.point.inferences_per_second.mean,
        "tokens_per_second": None if tokens is None else tokens.mean,
        "power_watts_mean": None if power is None else power.mean_watts.mean,
        "power_source": None if power is None else str(power.source),
    }


def _absent(loads: Sequence[Load]) -> Iterator[str]:
    """Yield a note on the lengths that the profiles lack."""
    found = {each.shape for each in loads}
    if absent := [f"{prompt}/{output}" for prompt, output in SHAPES if (prompt, output) not in found]:
        yield f"no benchmark at {', '.join(absent)} tokens, so none for the use cases of these lengths; {_COMMAND}"


_COMMAND = "inferometer profile endpoint --url URL --for llm-d-planner --rate 1,2,4"
_NO_LOAD = f"a load of {', '.join(f'{prompt}/{output}' for prompt, output in SHAPES)} prompt/output tokens"
EXPORTER = Exporter(
    "llm-d-planner",
    "benchmarks.json and a row of gpu_catalog.json for llm-d-planner 0.3",
    _files,
    folder=True,
    facts=(
        Fact("model", "name of the model at Hugging Face, by default the name that the server reports"),
        Fact("hardware", "gpu_type of the catalog, by default the name of the accelerator or the processor"),
        Fact("hardware_count", "number of devices that serve the model, by default those in the profile", number=True),
        Fact("memory_gb", "memory of one device in GiB, by default that of a host without accelerators", number=True),
        Fact("compute_capability", "compute capability of the device, such as 9.0"),
    ),
    points=tuple({"prompt_tokens": prompt, "output_tokens": output} for prompt, output in SHAPES),
    requests=_REQUESTS,
)
