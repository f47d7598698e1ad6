"""Results of AIPerf: `profile_export.jsonl`, one request a line, and the summary `profile_export_aiperf.json`.

Requests have Unix times in nanoseconds; the summary has local times. Docs: https://github.com/ai-dynamo/aiperf
"""

from __future__ import annotations

from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import msgspec

from agent.imports.files import records
from agent.imports.records import ResultError, TimeRange, Tool, ToolRun
from agent.imports.values import Count, Number, UnixNanoseconds, checked_duration, figure, ns, outcome, unix_ns
from agent.workloads.load_records import OK, LoadTotals, RequestRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.imports.records import ResultFile
    from agent.profiling.tool_records import ToolFigure
    from agent.workloads.load_records import Arrivals
    from agent.workloads.point import Value

NAME = "aiperf"
_MILLI = 1e-3
_SAME = 1e-9
"""The relative difference of two means below which requests and summary are of one run."""
_FIGURES = {
    "request_latency": ("request_latency_seconds", _MILLI),
    "time_to_first_token": ("time_to_first_token_seconds", _MILLI),
    "inter_token_latency": ("inter_token_latency_seconds", _MILLI),
    "inter_chunk_latency": ("inter_chunk_latency_seconds", _MILLI),
    "request_throughput": ("requests_per_second", 1.0),
    "input_token_throughput": ("input_tokens_per_second", 1.0),
    "output_token_throughput": ("output_tokens_per_second", 1.0),
    "total_token_throughput": ("total_tokens_per_second", 1.0),
    "input_sequence_length": ("input_tokens", 1.0),
    "output_sequence_length": ("output_tokens", 1.0),
}
"""The names of the tool's figures in a profile, and the factors to SI units."""
_UNITS = {"ms": _MILLI, "sec": 1.0}


class _Value(msgspec.Struct):
    value: Number


class _Values(msgspec.Struct):
    value: list[Number]


class _Metrics(msgspec.Struct):
    request_latency: _Value | None = None
    time_to_first_token: _Value | None = None
    inter_chunk_latency: _Values | None = None
    input_sequence_length: _Value | None = None
    output_sequence_length: _Value | None = None
    usage_prompt_cache_read_tokens: _Value | None = None


class _Metadata(msgspec.Struct):
    request_start_ns: UnixNanoseconds
    request_end_ns: UnixNanoseconds
    benchmark_phase: str = "profiling"
    was_cancelled: bool = False


class _Error(msgspec.Struct):
    code: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    type: str | None = None


class _Request(msgspec.Struct):
    metadata: _Metadata
    metrics: _Metrics
    error: _Error | None = None


class _Figure(msgspec.Struct):
    unit: str
    avg: Number
    p50: Number | None = None
    p90: Number | None = None
    p95: Number | None = None
    p99: Number | None = None


class _Phase(msgspec.Struct):
    kind: str = "profiling"
    type: str = ""
    concurrency: Count | None = None
    rate: Number | None = None


class _Model(msgspec.Struct):
    name: str


class _Models(msgspec.Struct):
    items: list[_Model] = []


class _Input(msgspec.Struct):
    models: _Models = msgspec.field(default_factory=_Models)
    phases: list[_Phase] = []


class _Summary(msgspec.Struct):
    aiperf_version: str
    request_latency: _Figure
    request_count: _Figure
    benchmark_duration: _Figure
    start_time: str
    end_time: str
    input_config: _Input = msgspec.field(default_factory=_Input)
    error_request_count: _Figure | None = None
    time_to_first_token: _Figure | None = None
    inter_token_latency: _Figure | None = None
    inter_chunk_latency: _Figure | None = None
    request_throughput: _Figure | None = None
    input_token_throughput: _Figure | None = None
    output_token_throughput: _Figure | None = None
    total_token_throughput: _Figure | None = None
    input_sequence_length: _Figure | None = None
    output_sequence_length: _Figure | None = None
    total_isl: _Figure | None = None
    total_osl: _Figure | None = None


def _is_summary(file: ResultFile) -> bool:
    return file.form == "object" and {"schema_version", "aiperf_version", "input_config"} <= file.keys


def _recognizes(file: ResultFile) -> bool:
    listed = file.form in {"object", "lines"} and {"metadata", "metrics"} <= file.keys
    return _is_summary(file) or (listed and b'"request_start_ns"' in file.content)


def _runs(files: Sequence[ResultFile], _monotonic_zero_ns: int | None) -> list[ToolRun]:
    """Return the runs; a summary belongs to the requests with the same mean latency."""
    summaries = {file.name: records(file, _Summary)[0] for file in files if _is_summary(file)}
    found = []
    for file in files:
        if not _is_summary(file):
            own = [each for each in records(file, _Request) if each.metadata.benchmark_phase == "profiling"]
            name = next((name for name, summary in summaries.items() if _describes(summary, own)), None)
            found.append(_requests_run(file.name, own, None if name is None else summaries.pop(name)))
    return found + [_summary_run(name, summary) for name, summary in summaries.items()]


def _describes(summary: _Summary, requests: Sequence[_Request]) -> bool:
    latencies = [each.metrics.request_latency.value for each in requests if each.metrics.request_latency]
    return (
        bool(latencies) and abs(fmean(latencies) - summary.request_latency.avg) <= _SAME * summary.request_latency.avg
    )


def _requests_run(file: str, requests: Sequence[_Request], summary: _Summary | None) -> ToolRun:
    ended = [each for each in requests if not each.metadata.was_cancelled]
    if not ended:
        raise ResultError(f"{file}: it has no request that ended: import the result of a finished run")
    start_ns = min(each.metadata.request_start_ns for each in ended)
    end_ns = max(each.metadata.request_end_ns for each in ended)
    return ToolRun(
        tool=NAME,
        version=summary.aiperf_version if summary else None,
        file=file,
        model=_model(summary),
        parameters=_parameters(summary),
        start=TimeRange(start_ns, start_ns),
        duration_ns=checked_duration(file, end_ns - start_ns),
        figures=_figures(summary) if summary else {},
        arrivals=_arrivals(summary),
        requests=tuple(_record(each, start_ns) for each in ended),
        steps=tuple(step for each in ended for step in _steps(each.metrics)),
        in_flight_end=len(requests) - len(ended),
    )


def _record(request: _Request, start_ns: int) -> RequestRecord:
    metrics, sent_ns = request.metrics, request.metadata.request_start_ns - start_ns
    first, latency, error = metrics.time_to_first_token, metrics.request_latency, request.error
    streamed = first is not None and latency is not None and error is None
    return RequestRecord(
        intended_ns=sent_ns,
        sent_ns=sent_ns,
        first_ns=sent_ns + ns(first.value * _MILLI) if streamed and first else None,
        last_ns=sent_ns + ns(latency.value * _MILLI) if streamed and latency else None,
        end_ns=request.metadata.request_end_ns - start_ns,
        input_tokens=_count(metrics.input_sequence_length),
        cached_tokens=_count(metrics.usage_prompt_cache_read_tokens),
        output_tokens=_count(metrics.output_sequence_length),
        outcome=OK if error is None else _outcome(error),
    )


def _outcome(error: _Error) -> str:
    return f"http {error.code}" if error.code is not None else outcome(error.type or "error")


def _count(value: _Value | None) -> int | None:
    return None if value is None else round(value.value)


def _steps(metrics: _Metrics) -> list[float]:
    """Return the seconds between the tokens: the time between two chunks over their mean number of tokens."""
    gaps, tokens = metrics.inter_chunk_latency, _count(metrics.output_sequence_length) or 0
    if gaps is None or tokens < 2:  # noqa: PLR2004
        return []
    return [gap * _MILLI * len(gaps.value) / (tokens - 1) for gap in gaps.value]


def _summary_run(file: str, summary: _Summary) -> ToolRun:
    """Return the run of a summary: its phase contains the requests, which can begin later than it."""
    start_ns, end_ns = _local_ns(file, summary.start_time), _local_ns(file, summary.end_time)
    length = summary.benchmark_duration
    duration_ns = checked_duration(file, ns(length.avg * _UNITS.get(length.unit, 1.0)))
    failed = round(summary.error_request_count.avg) if summary.error_request_count else 0
    completed = round(summary.request_count.avg)
    return ToolRun(
        tool=NAME,
        version=summary.aiperf_version,
        file=file,
        model=_model(summary),
        parameters=_parameters(summary),
        start=TimeRange(start_ns, max(start_ns, end_ns - duration_ns)),
        duration_ns=duration_ns,
        figures=_figures(summary),
        arrivals=_arrivals(summary),
        totals=LoadTotals(completed + failed, completed, summary.request_latency.avg * _MILLI),
        input_tokens=round(summary.total_isl.avg) if summary.total_isl else 0,
        output_tokens=round(summary.total_osl.avg) if summary.total_osl else 0,
    )


def _local_ns(file: str, text: str) -> int:
    """Return a time in the zone of this process, or in the zone that it has."""
    try:
        return unix_ns(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError) as error:
        raise ResultError(f"{file}: {outcome(text)!r} is not a time. Import the file as the tool wrote it") from error


def _model(summary: _Summary | None) -> str | None:
    return ", ".join(each.name for each in summary.input_config.models.items) or None if summary else None


def _phase(summary: _Summary | None) -> _Phase:
    phases = summary.input_config.phases if summary else []
    return next((each for each in phases if each.kind == "profiling"), _Phase())


def _parameters(summary: _Summary | None) -> dict[str, Value]:
    phase = _phase(summary)
    known = {"concurrency": phase.concurrency, "rate": phase.rate}
    return {name: value for name, value in known.items() if value is not None}


def _arrivals(summary: _Summary | None) -> Arrivals:
    """Return the kind of arrivals; the times at which requests of an open loop were due are not in the result."""
    return "closed" if _phase(summary).type == "concurrency" else "unknown"


def _figures(summary: _Summary) -> dict[str, ToolFigure]:
    found = {}
    for name, (own_name, scale) in _FIGURES.items():
        own: _Figure | None = getattr(summary, name)
        if own is not None:
            found[own_name] = figure(own.avg, scale, p50=own.p50, p90=own.p90, p95=own.p95, p99=own.p99)
    return found


TOOL = Tool(NAME, _recognizes, _runs)
