"""The share of a load's requests that met a service level, and whether the queue of the server grew; pure."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

from agent.profiling.analysis.binomial import lower_limit, upper_limit
from agent.profiling.analysis.statistics import trend
from agent.profiling.serving_records import Goodput
from agent.workloads.load_records import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.serving_records import ServiceLevel
    from agent.workloads.load_records import LoadWindow, RequestRecord

BLOCKS = 10
"""The number of parts of a window whose mean latencies show the growth of a queue."""
MIN_PER_BLOCK = 3
_DEVIATIONS = 3
GROWTH_TOLERANCE = 0.5
"""The rise of the latency over a window, as a share of its mean, that a queue without growth shows by chance."""


def meets(request: RequestRecord, level: ServiceLevel) -> bool:
    """Return whether a request met every limit; a failed one did not, nor one with an unknown time that has a limit."""
    if not request.ok:
        return False
    spans = (
        (level.ttft_seconds, request.time_to_first_token_seconds),
        (level.tpot_seconds, _time_per_output_token(request)),
        (level.e2e_seconds, request.end_to_end_seconds),
    )
    return all(limit is None or (span is not None and span <= limit) for limit, span in spans)


def _time_per_output_token(request: RequestRecord) -> float | None:
    """Return the time per output token, 0 for a known output of one token or none: no token had to wait."""
    if request.output_tokens in {0, 1}:
        return 0.0
    return request.time_per_output_token_seconds


def goodput(loads: Sequence[LoadWindow], seconds: float, level: ServiceLevel) -> Goodput | None:
    """Return the goodput of windows that last `seconds` in total, None without a request."""
    requests = [request for load in loads for request in load.requests]
    if not requests:
        return None
    met = sum(meets(request, level) for request in requests)
    lower = lower_limit(met, len(requests))
    closed = any(load.arrivals == "closed" for load in loads)
    return Goodput(
        level=level,
        attained=met / len(requests),
        attained_lower=lower,
        met=None if closed else lower >= level.attainment and not queue_grows(loads),
        requests_per_second=met / seconds,
    )


def missed(loads: Sequence[LoadWindow], level: ServiceLevel) -> bool:
    """Return whether windows show that a level is not met: the upper 95 % limit of the share is below it."""
    requests = [request for load in loads for request in load.requests]
    met = sum(meets(request, level) for request in requests)
    return bool(requests) and upper_limit(met, len(requests)) < level.attainment


def queue_grows(loads: Sequence[LoadWindow]) -> bool:
    """Return whether more requests arrived than were completed: more were under way later, and they took longer.

    At the ends of the windows more requests must be under way than at their starts, by three standard deviations of a
    random number of this mean (Poisson). And each window is cut into equal parts by the times at which requests were
    due: a straight line through their mean latencies, averaged over the windows, must rise with 97.5 % confidence and
    by more than half of the mean. A time-out counts at its limit. Few requests show no growth.
    """
    at_start = sum(load.in_flight_start for load in loads)
    more = sum(load.in_flight_end for load in loads) - at_start
    return more > _DEVIATIONS * math.sqrt(at_start + len(loads)) and _latencies_rise(loads)


def _latencies_rise(loads: Sequence[LoadWindow]) -> bool:
    found = [blocks for load in loads if (blocks := _mean_latencies(load))]
    count = min(map(len, found), default=0)
    means = [sum(blocks[number] for blocks in found) / len(found) for number in range(count)]
    line = trend(means, GROWTH_TOLERANCE) if means else None
    return line is not None and line.steady is False and (line.slope or 0.0) > 0


def _mean_latencies(load: LoadWindow) -> list[float]:
    """Return the mean latency of each part of a window, as far as every part has enough requests."""
    known = sorted(
        (request.intended_ns, latency) for request in load.requests if (latency := request_latency(load, request))
    )
    count = min(BLOCKS, len(known) // MIN_PER_BLOCK)
    if not count:
        return []
    blocks = groupby(enumerate(known), lambda each: each[0] * count // len(known))
    return [math.fsum(own) / len(own) for _, group in blocks if (own := [latency for _, (_, latency) in group])]


def request_latency(load: LoadWindow, request: RequestRecord) -> float | None:
    """Return the end-to-end latency of a request; in an open loop a time-out has the limit, other errors have none."""
    if request.ok:
        return request.end_to_end_seconds
    return load.timeout_seconds if request.outcome == TIMEOUT and load.arrivals != "closed" else None
