"""Derives the client's view of a load on a server from the requests of its windows; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy
from agent.profiling.analysis.goodput import goodput, request_latency
from agent.profiling.analysis.statistics import percentile, summarize_latencies
from agent.profiling.serving_records import Lengths, ServingFigures
from agent.runtime.typed_json import from_json
from agent.workloads.load_records import TIMEOUT, UNSENT, LoadWindow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.profiling.analysis.metrics import Repeat, SensorWindows
    from agent.profiling.run_facts import LatencySummary
    from agent.profiling.serving_records import ServiceLevel
    from agent.workloads.load_records import LoadTotals, RequestRecord
    from store.records import Window

MAX_SEND_LAG_SECONDS = 0.002
MAX_SEND_LAG_SHARE = 0.01
"""The limit of the p99 of the sends' lateness: a time, or a share of the median time to the first token."""
_P99 = 0.99


@dataclass(frozen=True)
class PointLoad:
    """The load of one point: its windows with the report of the client for each."""

    windows: tuple[Window, ...]
    reports: tuple[LoadWindow, ...]

    @cached_property
    def requests(self) -> tuple[RequestRecord, ...]:
        """All requests of the windows."""
        return tuple(request for report in self.reports for request in report.requests)

    @cached_property
    def completed(self) -> tuple[RequestRecord, ...]:
        """The successful requests."""
        return tuple(request for request in self.requests if request.ok)

    @property
    def totals(self) -> tuple[LoadTotals, ...]:
        """The totals of the windows whose client reports no single requests."""
        return tuple(report.totals for report in self.reports if report.totals is not None)

    @property
    def errors(self) -> dict[str, int]:
        """The failed requests by outcome; those known only by their number are `failed`."""
        found = Counter(request.outcome for request in self.requests if not request.ok)
        unnamed = sum(each.requests - each.completed for each in self.totals)
        return dict(found + Counter({"failed": unnamed} if unnamed else {}))

    @property
    def streamed(self) -> bool:
        """Whether the responses show the arrival of their tokens."""
        return any(request.first_ns is not None for request in self.completed)

    @property
    def without_counts(self) -> int:
        """The number of successful requests with an unknown number of input tokens, or of output tokens if some are."""
        outputs = any(request.output_tokens is not None for request in self.completed)
        return sum(
            request.input_tokens is None or (outputs and request.output_tokens is None) for request in self.completed
        )

    @property
    def seconds(self) -> float:
        """The length of all windows."""
        return sum(window.seconds for window in self.windows)


def load_of(repeats: Iterable[Repeat]) -> PointLoad | None:
    """Return the load of a point, None if its windows are not of a load. Raises ValueError for a damaged report."""
    windows = tuple(window for repeat in repeats for window in repeat)
    reports = tuple(from_json(window.load, LoadWindow) for window in windows if window.load is not None)
    return PointLoad(windows, reports) if reports else None


def send_lag_limit(typical_seconds: float) -> float:
    """Return the largest acceptable lateness of sends, given the median time to the first token, or of a request."""
    return max(MAX_SEND_LAG_SECONDS, MAX_SEND_LAG_SHARE * typical_seconds)


def send_lag(reports: Iterable[LoadWindow]) -> float | None:
    """Return the 99th percentile of the sends' lateness, None without a send."""
    lags = [each.lag_seconds for report in reports for each in report.requests if each.outcome != UNSENT]
    return percentile(lags, _P99) if lags else None


def errors_text(errors: Mapping[str, int]) -> str:
    """Return the numbers of failed requests: `2 x http 500, 1 x timeout`."""
    return ", ".join(f"{count} x {outcome}" for outcome, count in sorted(errors.items()))


def latencies(load: PointLoad) -> LatencySummary:
    """Return the end-to-end latencies of successful requests; in an open loop a time-out counts at its limit."""
    return summarize_latencies([each for own in latencies_by_window(load) for each in own])


def latencies_by_window(load: PointLoad) -> list[list[float]]:
    """Return the end-to-end latencies of each window; its mean if the client reports no single requests."""
    return [
        [report.totals.mean_latency_seconds]
        if report.totals
        else [latency for request in report.requests if (latency := request_latency(report, request)) is not None]
        for report in load.reports
    ]


def times_to_first_token(load: PointLoad) -> LatencySummary | None:
    """Return the times to the first token, None without streaming.

    In an open loop, a request that timed out before its first token counts at the limit.
    """
    if not load.streamed:
        return None
    found = []
    for report in load.reports:
        for request in report.requests:
            own = request.time_to_first_token_seconds
            late = request.outcome == TIMEOUT and report.arrivals != "closed"
            if own is not None and (request.ok or late):
                found.append(own)
            elif late:
                found.append(report.timeout_seconds)
    return summarize_latencies(found)


def serving_figures(load: PointLoad, level: ServiceLevel | None = None) -> ServingFigures:
    """Return the client's view of the load of a point, with its goodput if a service level is given."""
    requests, completed = load.requests, load.completed
    cached = [request.cached_tokens for request in completed if request.cached_tokens is not None]
    per_token = [each for request in completed if (each := request.time_per_output_token_seconds) is not None]
    clients = [report.client for report in load.reports if report.client is not None]
    requested = len(requests) + sum(each.requests for each in load.totals)
    succeeded = len(completed) + sum(each.completed for each in load.totals)
    return ServingFigures(
        arrivals=load.reports[0].arrivals,
        requests=requested,
        completed=succeeded,
        errors=load.errors,
        retries=sum(max(0, request.attempts - 1) for request in requests),
        finish_reasons=dict(Counter(request.finish_reason for request in completed if request.finish_reason)),
        token_source=load.reports[0].token_source,
        input_tokens=_lengths([request.input_tokens for request in completed]),
        cached_input_tokens_per_second=sum(cached) / load.seconds if cached else None,
        output_tokens=_lengths([request.output_tokens for request in completed]),
        time_per_output_token_seconds=summarize_latencies(per_token) if per_token else None,
        goodput=None if level is None else goodput(load.reports, load.seconds, level),
        send_lag_p99_seconds=None if load.reports[0].arrivals == "unknown" else send_lag(load.reports),
        client_cpus=sum(client.cpu_seconds for client in clients) / load.seconds if clients else None,
        loop_lag_p99_seconds=max((client.loop_lag_p99_seconds for client in clients), default=None),
    )


def _lengths(counts: Iterable[int | None]) -> Lengths | None:
    known = [count for count in counts if count is not None]
    return Lengths(fmean(known), min(known), max(known)) if known else None


def widen_edges(found: Sequence[SensorWindows], load: PointLoad) -> tuple[SensorWindows, ...]:
    """Return energies whose bounds contain the unknown work of requests at the edges of their windows.

    With streaming, tokens count by their own times, and nothing is unknown. Without it, a request that an edge cuts did
    an unknown part of its work in the window, so the divisor of the energy is uncertain by the requests under way at
    both edges over the completed ones.
    """
    if load.streamed:
        return tuple(found)
    shares = [(report.in_flight_start + report.in_flight_end) / max(1, _completed(report)) for report in load.reports]
    return tuple(
        replace(
            reading,
            windows=tuple(
                tuple(replace(each, energy=each.energy and _widened(each.energy, share)) for each in own)
                for own, share in zip(reading.windows, shares, strict=True)
            ),
        )
        for reading in found
    )


def _completed(report: LoadWindow) -> int:
    return report.totals.completed if report.totals else sum(request.ok for request in report.requests)


def _widened(energy: Energy, share: float) -> Energy:
    return Energy(energy.joules, energy.lower / (1 + share), energy.upper * (1 + share))
