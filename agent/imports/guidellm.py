"""Results of GuideLLM: `benchmarks.json`, with one benchmark for each rate or number of streams.

All times are those of the wall clock. Docs: https://github.com/vllm-project/guidellm
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.imports.files import records
from agent.imports.records import ResultError, TimeRange, Tool, ToolRun
from agent.imports.values import Count, Number, Seconds, UnixSeconds, checked_duration, figure, ns, outcome
from agent.workloads.load_records import OK, LoadTotals, RequestRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.imports.records import ResultFile
    from agent.profiling.tool_records import ToolFigure
    from agent.workloads.load_records import Arrivals
    from agent.workloads.point import Value

NAME = "guidellm"
_ARRIVALS: dict[str, Arrivals] = {
    "concurrent": "closed",
    "synchronous": "closed",
    "constant": "constant",
    "poisson": "poisson",
}
_MILLI = 1e-3


class _Timings(msgspec.Struct):
    targeted_start: UnixSeconds | None = None
    first_token_iteration: UnixSeconds | None = None
    last_token_iteration: UnixSeconds | None = None


class _Progress(msgspec.Struct):
    timings: _Timings
    error: str | None = None


class _Request(msgspec.Struct):
    request_start_time: UnixSeconds
    request_end_time: UnixSeconds
    info: _Progress
    prompt_tokens: Count | None = None
    cached_tokens: Count | None = None
    output_tokens: Count | None = None


class _Requests(msgspec.Struct):
    successful: list[_Request]
    errored: list[_Request]
    incomplete: list[_Request]


class _Percentiles(msgspec.Struct):
    p50: Number
    p90: Number
    p95: Number
    p99: Number


class _Distribution(msgspec.Struct):
    mean: Number
    total_sum: Number
    percentiles: _Percentiles


class _ByOutcome(msgspec.Struct):
    successful: _Distribution | None


class _Totals(msgspec.Struct):
    successful: Count
    errored: Count
    incomplete: Count


class _Metrics(msgspec.Struct):
    request_totals: _Totals
    request_latency: _ByOutcome
    time_to_first_token_ms: _ByOutcome
    inter_token_latency_ms: _ByOutcome
    time_per_output_token_ms: _ByOutcome
    requests_per_second: _ByOutcome
    prompt_tokens_per_second: _ByOutcome
    output_tokens_per_second: _ByOutcome
    tokens_per_second: _ByOutcome
    prompt_token_count: _ByOutcome
    output_token_count: _ByOutcome


class _Strategy(msgspec.Struct):
    type_: str
    streams: Count | None = None
    rate: Number | None = None


class _Backend(msgspec.Struct):
    model: str | None = None


class _Config(msgspec.Struct):
    strategy: _Strategy
    backend: _Backend = msgspec.field(default_factory=_Backend)


class _Benchmark(msgspec.Struct):
    config: _Config
    metrics: _Metrics
    requests: _Requests
    start_time: UnixSeconds
    end_time: UnixSeconds
    duration: Seconds


class _Metadata(msgspec.Struct):
    guidellm_version: str


class _Report(msgspec.Struct):
    metadata: _Metadata
    benchmarks: list[_Benchmark]


def _recognizes(file: ResultFile) -> bool:
    return file.form == "object" and {"metadata", "benchmarks"} <= file.keys and b'"guidellm_version"' in file.content


def _runs(files: Sequence[ResultFile], _monotonic_zero_ns: int | None) -> list[ToolRun]:
    found = []
    for file in files:
        (report,) = records(file, _Report)
        if not report.benchmarks:
            raise ResultError(f"{file.name}: it has no benchmark: import the result of a finished run")
        found += [_run(file.name, report.metadata.guidellm_version, each) for each in report.benchmarks]
    return found


def _run(file: str, version: str, benchmark: _Benchmark) -> ToolRun:
    strategy, metrics, own = benchmark.config.strategy, benchmark.metrics, benchmark.requests
    arrivals = _ARRIVALS.get(strategy.type_, "unknown")
    start_ns = ns(benchmark.start_time)
    totals = metrics.request_totals
    whole = (len(own.successful), len(own.errored)) == (totals.successful, totals.errored)
    latency = metrics.request_latency.successful
    ended = tuple(_record(each, arrivals, start_ns) for each in (*own.successful, *own.errored)) if whole else ()
    return ToolRun(
        tool=NAME,
        version=version,
        file=file,
        model=benchmark.config.backend.model,
        parameters=_parameters(strategy),
        start=TimeRange(start_ns, start_ns),
        duration_ns=checked_duration(file, ns(benchmark.end_time) - start_ns),
        figures=_figures(metrics),
        arrivals=arrivals,
        requests=ended,
        totals=None
        if whole
        else LoadTotals(totals.successful + totals.errored, totals.successful, latency.mean if latency else 0.0),
        input_tokens=_sum(metrics.prompt_token_count),
        output_tokens=_sum(metrics.output_token_count),
        in_flight_end=totals.incomplete,
    )


def _parameters(strategy: _Strategy) -> dict[str, Value]:
    if strategy.type_ == "synchronous":
        return {"concurrency": 1}
    if strategy.streams is not None:
        return {"concurrency": strategy.streams}
    if strategy.rate is not None:
        return {"rate": strategy.rate}
    return {"strategy": outcome(strategy.type_)}


def _record(request: _Request, arrivals: Arrivals, start_ns: int) -> RequestRecord:
    """Return a request; in an open loop it was due at its targeted start."""
    timings, failed = request.info.timings, request.info.error
    sent_ns = ns(request.request_start_time)
    due = timings.targeted_start if arrivals in {"constant", "poisson"} else None
    intended_ns = sent_ns if due is None else min(sent_ns, ns(due))
    first, last = timings.first_token_iteration, timings.last_token_iteration
    return RequestRecord(
        intended_ns=intended_ns - start_ns,
        sent_ns=sent_ns - start_ns,
        first_ns=None if first is None or failed else ns(first) - start_ns,
        last_ns=None if last is None or failed else ns(last) - start_ns,
        end_ns=ns(request.request_end_time) - start_ns,
        input_tokens=None if failed else request.prompt_tokens,
        cached_tokens=request.cached_tokens,
        output_tokens=request.output_tokens,
        outcome=outcome(failed) if failed else OK,
    )


def _sum(counts: _ByOutcome) -> int:
    return round(counts.successful.total_sum) if counts.successful else 0


def _figures(metrics: _Metrics) -> dict[str, ToolFigure]:
    found = {
        "request_latency_seconds": _figure(metrics.request_latency, 1.0),
        "time_to_first_token_seconds": _figure(metrics.time_to_first_token_ms, _MILLI),
        "inter_token_latency_seconds": _figure(metrics.inter_token_latency_ms, _MILLI),
        "time_per_output_token_seconds": _figure(metrics.time_per_output_token_ms, _MILLI),
        "requests_per_second": _mean(metrics.requests_per_second),
        "input_tokens_per_second": _mean(metrics.prompt_tokens_per_second),
        "output_tokens_per_second": _mean(metrics.output_tokens_per_second),
        "total_tokens_per_second": _mean(metrics.tokens_per_second),
        "input_tokens": _figure(metrics.prompt_token_count, 1.0),
        "output_tokens": _figure(metrics.output_token_count, 1.0),
    }
    return {name: each for name, each in found.items() if each is not None}


def _figure(values: _ByOutcome, scale: float) -> ToolFigure | None:
    own = values.successful
    if own is None:
        return None
    tails = own.percentiles
    return figure(own.mean, scale, p50=tails.p50, p90=tails.p90, p95=tails.p95, p99=tails.p99)


def _mean(values: _ByOutcome) -> ToolFigure | None:
    """Return the mean of a rate, whose percentiles are those of short spans."""
    return None if values.successful is None else figure(values.successful.mean)


TOOL = Tool(NAME, _recognizes, _runs)
