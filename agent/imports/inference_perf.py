"""Results of inference-perf: the report of each stage (YAML), and `per_request_lifecycle_metrics.json`.

Only the reports have Unix times; requests have seconds on CLOCK_MONOTONIC. `stage_0_lifecycle_metrics.json` has the
concurrency.
Docs: https://github.com/kubernetes-sigs/inference-perf
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from agent.imports.files import records
from agent.imports.inference_perf_format import Body, Lifecycle, Report, Request, Response
from agent.imports.records import ResultError, TimeRange, Tool, ToolRun
from agent.imports.report_text import from_yaml
from agent.imports.values import checked_duration, figure, ns, outcome, unix_ns
from agent.workloads.load_records import OK, LoadTotals, RequestRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.imports.records import ResultFile
    from agent.profiling.tool_records import ToolFigure

NAME = "inference-perf"
_MARGIN_NS = 1_000_000_000
"""The time by which a request can lie outside its stage: the clocks were compared at another moment."""
_REPORT = b"inference-perf-"


def _is_report(file: ResultFile) -> bool:
    return file.form == "text" and _REPORT in file.content and b"request_performance:" in file.content


def _is_list(file: ResultFile) -> bool:
    return file.form == "list" and {"start_time", "end_time", "request", "info"} <= file.keys


def _is_summary(file: ResultFile) -> bool:
    return file.form == "object" and {"load_summary", "successes", "failures"} <= file.keys


def _recognizes(file: ResultFile) -> bool:
    return _is_report(file) or _is_list(file) or _is_summary(file)


def _runs(files: Sequence[ResultFile], monotonic_zero_ns: int | None) -> list[ToolRun]:
    """Return one run for each stage, with its requests if one list and their times show which are its own."""
    lists = [file for file in files if _is_list(file)]
    reports = [(file.name, from_yaml(file, Report)) for file in files if _is_report(file)]
    loads = [records(file, Lifecycle)[0] for file in files if _is_summary(file)]
    if not lists and not reports:
        remedy = "name the report of the stage too, such as inference-perf.partial.stage_0.yaml"
        raise ResultError(f"{files[0].name}: it has no time at which the run began: {remedy}")
    if len(lists) > 1:
        raise ResultError(f"{lists[1].name}: the second list of requests: import the results of each run on their own")
    requests = records(lists[0], Request) if lists else []
    return [_with_load(each, loads) for each in _found(lists, requests, reports, monotonic_zero_ns)]


def _found(
    lists: Sequence[ResultFile],
    requests: Sequence[Request],
    reports: Sequence[tuple[str, Report]],
    monotonic_zero_ns: int | None,
) -> list[ToolRun]:
    if not reports:
        return [_run(lists[0].name, requests, None, None)]
    zero_ns = _zero_ns(requests, [report for _, report in reports], monotonic_zero_ns)
    if len(reports) == 1 and requests:
        return [_run(lists[0].name, requests, reports[0][1], zero_ns)]
    if requests and zero_ns is not None:
        return [_run(name, _within(requests, report, zero_ns), report, zero_ns) for name, report in reports]
    return [_report_run(name, report) for name, report in reports]


def _with_load(run: ToolRun, loads: Sequence[Lifecycle]) -> ToolRun:
    """Return a run with the concurrency or the rate of the summary that has the same mean latency."""
    own = run.figures.get("request_latency_seconds")
    for each in loads:
        if own is not None and each.successes.latency.request_latency.mean == own.mean:
            concurrency, rate = each.load_summary.concurrency, each.load_summary.requested_rate
            if concurrency is not None:
                return replace(run, parameters={"concurrency": concurrency}, arrivals="closed")
            return run if rate is None else replace(run, parameters={"rate": rate})
    return run


def _stage(report: Report) -> TimeRange:
    """Return the time of a stage, a text or what YAML makes of it. Raises ResultError."""
    try:
        start, end = (datetime.fromisoformat(str(each)) for each in (report.run.time.start, report.run.time.end))
        ends = (unix_ns(start.astimezone()), unix_ns(end.astimezone()))
    except (ValueError, OverflowError) as error:
        raise ResultError(f"{report.run.uid[:80]}: its time is wrong: {error}") from error
    return TimeRange(*ends)


def _zero_ns(requests: Sequence[Request], reports: Sequence[Report], monotonic_zero_ns: int | None) -> int | None:
    """Return the Unix time of the zero of CLOCK_MONOTONIC if all requests then lie within the stages, else None."""
    if monotonic_zero_ns is None or not requests:
        return None
    stages = [_stage(report) for report in reports]
    earliest_ns = min(stage.earliest_ns for stage in stages) - _MARGIN_NS
    latest_ns = max(stage.latest_ns for stage in stages) + _MARGIN_NS
    first_ns = ns(min(each.start_time for each in requests)) + monotonic_zero_ns
    last_ns = ns(max(each.end_time for each in requests)) + monotonic_zero_ns
    return monotonic_zero_ns if earliest_ns <= first_ns and last_ns <= latest_ns else None


def _within(requests: Sequence[Request], report: Report, zero_ns: int) -> list[Request]:
    stage = _stage(report)
    return [each for each in requests if stage.earliest_ns <= ns(each.start_time) + zero_ns < stage.latest_ns]


def _run(file: str, requests: Sequence[Request], report: Report | None, zero_ns: int | None) -> ToolRun:
    if not requests:
        raise ResultError(f"{file}: it has no request: import the result of a finished run")
    first_ns = ns(min(each.start_time for each in requests))
    duration_ns = checked_duration(file, ns(max(each.end_time for each in requests)) - first_ns)
    start = None
    if zero_ns is not None:
        start = TimeRange(first_ns + zero_ns, first_ns + zero_ns)
    elif report is not None:
        start = _start_within(_stage(report), duration_ns)
    return ToolRun(
        tool=NAME,
        version=None,
        file=file,
        model=_model(requests[0]),
        parameters={},
        start=start,
        duration_ns=duration_ns,
        figures=_figures(report) if report else {},
        requests=tuple(_record(each, first_ns) for each in requests),
        steps=tuple(step for each in requests for step in _steps(each)),
    )


def _model(request: Request) -> str | None:
    """Return the name of the model from the body of a request, whose other fields are dropped."""
    try:
        return outcome(msgspec.json.decode(msgspec.json.decode(request.request, type=str), type=Body).model)
    except ValueError:
        return None


def _start_within(stage: TimeRange, duration_ns: int) -> TimeRange:
    """Return the possible starts of requests that take a known time within a stage."""
    return TimeRange(stage.earliest_ns, max(stage.earliest_ns, stage.latest_ns - duration_ns))


def _record(request: Request, first_ns: int) -> RequestRecord:
    response = request.info.response_metrics
    usage = response.server_usage if response else None
    chunks = response.chunk_times if response and request.error is None else None
    sent_ns = ns(request.start_time) - first_ns
    prompt = usage.prompt_tokens if usage and usage.prompt_tokens is not None else request.info.input_tokens
    return RequestRecord(
        intended_ns=sent_ns,
        sent_ns=sent_ns,
        first_ns=ns(chunks[0]) - first_ns if chunks else None,
        last_ns=ns(chunks[-1]) - first_ns if chunks else None,
        end_ns=ns(request.end_time) - first_ns,
        input_tokens=None if request.error else prompt,
        cached_tokens=usage.prompt_tokens_details.cached_tokens if usage and usage.prompt_tokens_details else None,
        output_tokens=None if request.error else _output_tokens(response),
        outcome=outcome(request.error.error_type) if request.error else OK,
    )


def _output_tokens(response: Response | None) -> int | None:
    """Return the number of output tokens: that of the server, else that of the tool's tokenizer."""
    if response is None:
        return None
    usage = response.server_usage
    return usage.completion_tokens if usage and usage.completion_tokens is not None else response.output_tokens


def _steps(request: Request) -> list[float]:
    """Return the seconds between the tokens: the time between two chunks over their mean number of tokens."""
    response = request.info.response_metrics
    chunks, tokens = response.chunk_times if response else None, _output_tokens(response) or 0
    if request.error or not chunks or len(chunks) < 2 or tokens < 2:  # noqa: PLR2004
        return []
    share = (len(chunks) - 1) / (tokens - 1)
    return [(after - before) * share for before, after in pairwise(chunks)]


def _report_run(file: str, report: Report) -> ToolRun:
    """Return the run of a report alone; its rate and its counts give the time from first request to last reply."""
    stage, own = _stage(report), report.results.request_performance.aggregate
    counts, rate = own.requests, own.throughput.request_rate.mean
    completed = counts.total - counts.failures
    if completed <= 0 or rate <= 0:
        raise ResultError(f"{file}: no request succeeded: import the result of another run")
    duration_ns = checked_duration(file, min(stage.latest_ns - stage.earliest_ns, ns(completed / rate)))
    lengths = [each.mean * completed if each else 0.0 for each in (counts.input_length, counts.output_length)]
    return ToolRun(
        tool=NAME,
        version=None,
        file=file,
        model=None,
        parameters={},
        start=_start_within(stage, duration_ns),
        duration_ns=duration_ns,
        figures=_figures(report),
        totals=LoadTotals(counts.total, completed, own.latency.request_latency.mean),
        input_tokens=round(lengths[0]),
        output_tokens=round(lengths[1]),
    )


def _figures(report: Report) -> dict[str, ToolFigure]:
    own = report.results.request_performance.aggregate
    found = {
        "request_latency_seconds": own.latency.request_latency,
        "time_to_first_token_seconds": own.latency.time_to_first_token,
        "inter_token_latency_seconds": own.latency.inter_token_latency,
        "time_per_output_token_seconds": own.latency.time_per_output_token,
        "requests_per_second": own.throughput.request_rate,
        "input_tokens_per_second": own.throughput.input_token_rate,
        "output_tokens_per_second": own.throughput.output_token_rate,
        "total_tokens_per_second": own.throughput.total_token_rate,
        "input_tokens": own.requests.input_length,
        "output_tokens": own.requests.output_length,
    }
    return {
        name: figure(each.mean, p50=each.p50, p90=each.p90, p95=each.p95, p99=each.p99)
        for name, each in found.items()
        if each is not None
    }


TOOL = Tool(NAME, _recognizes, _runs)
