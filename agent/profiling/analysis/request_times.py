"""The latencies of the requests of a point, from the phases of a model or from the client of a server; pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from agent.profiling.analysis.intervals import interval
from agent.profiling.analysis.sequential import STUDENT
from agent.profiling.analysis.serving import latencies, latencies_by_window, times_to_first_token
from agent.profiling.analysis.statistics import summarize_latencies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.cost.interval import Interval
    from agent.profiling.analysis.metrics import Repeat
    from agent.profiling.analysis.sequential import Widening
    from agent.profiling.analysis.serving import PointLoad
    from agent.profiling.run_facts import LatencySummary

PREFILL = "prefill"


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """The times of whole requests and of their tokens; None for a time that the run cannot show."""

    mean_seconds: Interval
    latency: LatencySummary | None
    first_token: LatencySummary | None
    next_token: LatencySummary | None


def request_times(repeats: Sequence[Repeat], load: PointLoad | None, widening: Widening = STUDENT) -> RequestTimes:
    """Return the times of the requests of a point; `load` is the client's report, None without a server."""
    windows = [window for repeat in repeats for window in repeat]
    steps = [step for window in windows for step in window.step_seconds]
    next_token = summarize_latencies(steps) if steps else None
    if load is not None:
        means = interval([fmean(own) for own in latencies_by_window(load) if own], widening)
        if load.totals:
            return RequestTimes(means, None, None, next_token)
        return RequestTimes(means, latencies(load), times_to_first_token(load), next_token)
    first = [latency for window in windows if window.phase == PREFILL for latency in window.latencies_seconds]
    return RequestTimes(
        interval([_mean_latency(repeat) for repeat in repeats], widening),
        _latency(repeats),
        summarize_latencies(first) if first else None,
        next_token,
    )


def _mean_latency(repeat: Repeat) -> float:
    """Return the mean latency of a request: the sum of the means of the phases."""
    return sum(fmean(window.latencies_seconds) for window in repeat)


def _latency(repeats: Sequence[Repeat]) -> LatencySummary | None:
    """Return the latencies of whole requests, None if each ran as separate phases: their pairs never ran."""
    if len(repeats[0]) > 1:
        return None
    return summarize_latencies([latency for (window,) in repeats for latency in window.latencies_seconds])
