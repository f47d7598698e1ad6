"""Results of `vllm bench serve --save-result`: one JSON object, or one a line with `--append-result`.

`date` is local, in whole seconds, and is taken after the last reply. `start_times` (`--save-detailed`) are seconds on
CLOCK_MONOTONIC. Docs: https://docs.vllm.ai/en/latest/benchmarking/cli/
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from agent.imports.files import records
from agent.imports.records import ResultError, TimeRange, Tool, ToolRun
from agent.imports.values import (
    Count,
    MonotonicSeconds,
    Number,
    Seconds,
    checked_duration,
    figure,
    ns,
    outcome,
    unix_ns,
)
from agent.workloads.load_records import OK, LoadTotals, RequestRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.imports.records import ResultFile
    from agent.profiling.tool_records import ToolFigure
    from agent.workloads.load_records import Arrivals

NAME = "vllm-bench"
_SECOND_NS = 1_000_000_000
SUMMARY_NS = 2 * _SECOND_NS
"""The longest time from the last reply to `date`, in which the tool computes its summary."""
_MILLI = 1e-3


class _Result(msgspec.Struct):
    date: str
    backend: str
    model_id: str
    num_prompts: Count
    request_rate: Number | str
    duration: Seconds
    completed: Count
    failed: Count | None = None
    burstiness: Number = 1.0
    max_concurrency: Count | None = None
    total_input_tokens: Count = 0
    total_output_tokens: Count = 0
    request_throughput: Number | None = None
    output_throughput: Number | None = None
    total_token_throughput: Number | None = None
    mean_ttft_ms: Number | None = None
    median_ttft_ms: Number | None = None
    p90_ttft_ms: Number | None = None
    p95_ttft_ms: Number | None = None
    p99_ttft_ms: Number | None = None
    mean_tpot_ms: Number | None = None
    median_tpot_ms: Number | None = None
    p90_tpot_ms: Number | None = None
    p95_tpot_ms: Number | None = None
    p99_tpot_ms: Number | None = None
    mean_itl_ms: Number | None = None
    median_itl_ms: Number | None = None
    p90_itl_ms: Number | None = None
    p95_itl_ms: Number | None = None
    p99_itl_ms: Number | None = None
    mean_e2el_ms: Number | None = None
    median_e2el_ms: Number | None = None
    p90_e2el_ms: Number | None = None
    p95_e2el_ms: Number | None = None
    p99_e2el_ms: Number | None = None
    start_times: list[MonotonicSeconds] | None = None
    ttfts: list[Seconds] | None = None
    itls: list[list[Seconds]] | None = None
    latencies: list[Seconds] | None = None
    input_lens: list[Count] | None = None
    output_lens: list[Count] | None = None
    errors: list[str] | None = None


def _recognizes(file: ResultFile) -> bool:
    named = {"date", "backend", "model_id", "num_prompts", "request_rate", "duration", "completed"}
    return file.form in {"object", "lines"} and named <= file.keys


def _runs(files: Sequence[ResultFile], monotonic_zero_ns: int | None) -> list[ToolRun]:
    return [_run(file.name, each, monotonic_zero_ns) for file in files for each in records(file, _Result)]


def _run(file: str, result: _Result, monotonic_zero_ns: int | None) -> ToolRun:
    duration_ns = checked_duration(file, ns(result.duration))
    requests, steps, first_ns = _requests(file, result)
    totals = None if requests else _totals(file, result)
    concurrency, rate = result.max_concurrency, result.request_rate
    return ToolRun(
        tool=NAME,
        version=None,
        file=file,
        model=result.model_id,
        parameters={**({} if concurrency is None else {"concurrency": concurrency}), **_rate(rate, concurrency)},
        start=_start(file, result, duration_ns, first_ns, monotonic_zero_ns),
        duration_ns=duration_ns,
        figures=_figures(result),
        arrivals=_arrivals(result),
        requests=requests,
        steps=steps,
        totals=totals,
        input_tokens=result.total_input_tokens,
        output_tokens=result.total_output_tokens,
    )


def _rate(rate: float | str, concurrency: int | None) -> dict[str, float | str]:
    """Return the requested rate; an infinite one says nothing if the number of clients is limited."""
    if isinstance(rate, str):
        return {} if concurrency is not None else {"rate": outcome(rate)}
    return {"rate": rate}


def _arrivals(result: _Result) -> Arrivals:
    """Return the kind of arrivals; the times at which requests of an open loop were due are not in the result."""
    return "closed" if result.max_concurrency is not None and result.request_rate == "inf" else "unknown"


def _requests(file: str, result: _Result) -> tuple[tuple[RequestRecord, ...], tuple[float, ...], int]:
    """Return the requests, the seconds between their tokens, and the first start on CLOCK_MONOTONIC.

    Nothing without the lists of `--save-detailed`.
    """
    lists = (
        result.start_times,
        result.ttfts,
        result.itls,
        result.latencies,
        result.input_lens,
        result.output_lens,
        result.errors,
    )
    starts, firsts, gaps, latencies, inputs, outputs, errors = lists
    if not (starts and firsts and gaps and latencies and inputs and outputs and errors):
        return (), (), 0
    if len({len(each) for each in lists if each is not None}) != 1:
        raise ResultError(f"{file}: its lists of requests differ in length. Import the file as the tool wrote it")
    zero_ns = ns(min(starts))
    found, steps = [], list[float]()
    for start, first, own, latency, tokens_in, tokens_out, error in zip(
        starts, firsts, gaps, latencies, inputs, outputs, errors, strict=True
    ):
        sent_ns, good = ns(start) - zero_ns, not error
        end_ns = sent_ns + ns(latency)
        arrival = None
        if good and own:
            arrival = (sent_ns + ns(first), end_ns)
        elif good and first and tokens_out == 1:  # one token has no gap, and arrives at once
            arrival = (sent_ns + ns(first), sent_ns + ns(first))
        found.append(
            RequestRecord(
                intended_ns=sent_ns,
                sent_ns=sent_ns,
                first_ns=arrival and arrival[0],
                last_ns=arrival and arrival[1],
                end_ns=end_ns,
                input_tokens=tokens_in if good else None,
                cached_tokens=None,
                output_tokens=tokens_out if good else None,
                outcome=OK if good else outcome(error),
            )
        )
        if good and own and tokens_out > 1:
            steps += [gap * len(own) / (tokens_out - 1) for gap in own]
    return tuple(found), tuple(steps), zero_ns


def _totals(file: str, result: _Result) -> LoadTotals:
    latencies, mean = [each for each in result.latencies or () if each], result.mean_e2el_ms  # failed ones have 0
    seconds = sum(latencies) / len(latencies) if latencies else None if mean is None else mean * _MILLI
    if seconds is None:
        remedy = "run vllm bench serve with --save-detailed, or with --percentile-metrics ttft,tpot,itl,e2el"
        raise ResultError(f"{file}: it has no latency of whole requests: {remedy}")
    sent = result.num_prompts if result.failed is None else result.completed + result.failed
    return LoadTotals(max(sent, result.completed), result.completed, seconds)


def _start(file: str, result: _Result, duration_ns: int, first_ns: int, monotonic_zero_ns: int | None) -> TimeRange:
    """Return the time of the first request.

    The last reply came before the end of the second `date`, and at most `SUMMARY_NS` before its start. On the same boot
    the times on CLOCK_MONOTONIC are exact; after a reboot they do not fit `date`.
    """
    try:
        date_ns = unix_ns(datetime.strptime(result.date, "%Y%m%d-%H%M%S").astimezone())
    except (ValueError, OverflowError) as error:
        raise ResultError(f"{file}: its date {outcome(result.date)!r} is not a time such as 20260131-083000") from error
    by_date = TimeRange(date_ns - SUMMARY_NS - duration_ns, date_ns + _SECOND_NS - duration_ns)
    if first_ns and monotonic_zero_ns is not None:
        exact_ns = first_ns + monotonic_zero_ns
        if by_date.earliest_ns <= exact_ns <= by_date.latest_ns:
            return TimeRange(exact_ns, exact_ns)
    return by_date


def _figures(result: _Result) -> dict[str, ToolFigure]:
    found = {
        f"{long}_seconds": figure(
            getattr(result, f"mean_{short}_ms"),
            _MILLI,
            p50=getattr(result, f"median_{short}_ms"),
            **{f"p{share}": getattr(result, f"p{share}_{short}_ms") for share in (90, 95, 99)},
        )
        for long, short in (
            ("request_latency", "e2el"),
            ("time_to_first_token", "ttft"),
            ("inter_token_latency", "itl"),
            ("time_per_output_token", "tpot"),
        )
        if getattr(result, f"mean_{short}_ms") is not None
    }
    rates = {
        "requests_per_second": result.request_throughput,
        "output_tokens_per_second": result.output_throughput,
        "total_tokens_per_second": result.total_token_throughput,
    }
    return found | {name: figure(rate) for name, rate in rates.items() if rate is not None}


TOOL = Tool(NAME, _recognizes, _runs)
