"""The format of the files of inference-perf, as far as an import reads it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

# msgspec reads the annotations, so they are imported at run time.
from agent.imports.values import Count, MonotonicSeconds, Number  # noqa: TC001


class Cached(msgspec.Struct):
    """The part of a prompt that the server read from its cache."""

    cached_tokens: Count | None = None


class ServerUsage(msgspec.Struct):
    """The token counts of the server."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: Cached | None = None


class Response(msgspec.Struct):
    """The response of a request: `chunk_times` are on CLOCK_MONOTONIC."""

    output_tokens: Count | None = None
    server_usage: ServerUsage | None = None
    chunk_times: list[MonotonicSeconds] | None = None


class Info(msgspec.Struct):
    """The tokens and the response of a request."""

    response_metrics: Response | None = None
    input_tokens: Count | None = None


class Failure(msgspec.Struct):
    """The error of a request."""

    error_type: str = "error"


class Body(msgspec.Struct):
    """The body of a request, of which only the model is read."""

    model: str


class Request(msgspec.Struct):
    """One request; times are in seconds on CLOCK_MONOTONIC."""

    start_time: MonotonicSeconds
    end_time: MonotonicSeconds
    info: Info
    request: msgspec.Raw
    error: Failure | None = None


class Statistics(msgspec.Struct):
    """The statistics of one quantity."""

    mean: Number
    p50: Number | None = None
    p90: Number | None = None
    p95: Number | None = None
    p99: Number | None = None


class Counts(msgspec.Struct):
    """The numbers of requests, and their lengths in tokens."""

    total: Count
    failures: Count
    input_length: Statistics | None = None
    output_length: Statistics | None = None


class Latencies(msgspec.Struct):
    """Latencies in seconds."""

    request_latency: Statistics
    time_to_first_token: Statistics | None = None
    time_per_output_token: Statistics | None = None
    inter_token_latency: Statistics | None = None


class Throughput(msgspec.Struct):
    """Rates per second."""

    request_rate: Statistics
    input_token_rate: Statistics | None = None
    output_token_rate: Statistics | None = None
    total_token_rate: Statistics | None = None


class Aggregate(msgspec.Struct):
    """The figures of a stage."""

    requests: Counts
    latency: Latencies
    throughput: Throughput


class Performance(msgspec.Struct):
    """The figures of all requests."""

    aggregate: Aggregate


class Results(msgspec.Struct):
    """The results of a stage."""

    request_performance: Performance


class Time(msgspec.Struct):
    """The times of a stage: texts, or what YAML makes of them."""

    start: Any
    end: Any


class RunFacts(msgspec.Struct):
    """The identity and the time of a stage."""

    uid: Annotated[str, msgspec.Meta(pattern="^inference-perf-")]
    time: Time


class Report(msgspec.Struct):
    """The report of a stage."""

    version: str
    run: RunFacts
    results: Results


class Load(msgspec.Struct):
    """The load of a stage."""

    concurrency: Count | None = None
    requested_rate: Number | None = None


class Successes(msgspec.Struct):
    """The figures of the successful requests."""

    latency: Latencies


class Lifecycle(msgspec.Struct):
    """The summary of a stage, without times."""

    load_summary: Load
    successes: Successes
