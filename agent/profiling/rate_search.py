"""The search for the highest rate of an open loop that meets a service level: its steps and its verdicts; pure."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Literal

from agent.profiling.analysis.binomial import trials_without_miss
from agent.profiling.analysis.goodput import goodput, missed, queue_grows
from agent.profiling.analysis.serving import send_lag, send_lag_limit
from agent.profiling.serving_records import RateTrial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.profiling.serving_records import ServiceLevel
    from agent.workloads.load_records import LoadWindow
    from agent.workloads.point import Axes, Point

FIRST_RATE = 1.0
"""The first rate of a search, in requests per second, if none was requested."""
RESOLUTION = 1.05
"""The largest ratio of both ends of the bracket at the end of a search."""
LOWEST_SHARE = 1 / 17
"""A search ends without a result below this share of its first rate or of one request per second, whichever is less:
each halving takes twice the time."""
MIN_WINDOWS_OF_GROWTH = 2
"""The windows that must show together that a queue grows: in one alone, latencies rise by chance too often."""
_MARGIN = 1.2
"""The requests of a trial over the fewest that can show the attainment, since arrivals are random."""
_TIMES = 10
"""The least length of a trial in limits of the level, and in durations of a request: a queue needs time to grow."""
_MOST_LENGTHENED = 4


def at_rate(point: Point, rate: float) -> Point:
    """Return a point of an open loop at another rate."""
    return {**{name: value for name, value in point.items() if name != "concurrency"}, "rate": rate}


def search_axes(axes: Axes) -> Axes:
    """Return the axes of the one point from which a search begins: an open loop at the first rate.

    Raises ValueError that names the option if the axes have several points.
    """
    for name, values in axes.items():
        if name != "concurrency" and len(values) > 1:
            wanted = "one rate to begin with" if name == "rate" else "one value"
            raise ValueError(f"--{name.replace('_', '-')}: --find-max searches one setting; give {wanted}")
    rate = axes.get("rate", (FIRST_RATE,))
    return {**{name: values for name, values in axes.items() if name not in {"concurrency", "rate"}}, "rate": rate}


def next_rate(trials: Sequence[RateTrial], first: float) -> float | None:
    """Return the next rate to try, in requests per second; None at the end of the search.

    Rates double from `first` until one is not met, or halve until one is; then the bracket is halved on a logarithmic
    scale. An undecided rate is an upper end: its attainment cannot be distinguished from the requested one.
    """
    met, upper = _bracket(trials)
    if met is None and upper is None:
        return first
    if upper is None:
        return _rounded((met or first) * 2)
    if met is None:
        return _rounded(upper / 2) if upper / 2 >= LOWEST_SHARE * min(first, FIRST_RATE) else None
    return _rounded(math.sqrt(met * upper)) if upper / met > RESOLUTION else None


def rate_to_confirm(trials: Sequence[RateTrial], failures: int = 0) -> float | None:
    """Return the highest rate that was met, below every one that was not; None if none ever was.

    A rate whose confirmation failed counts as not met: the next one is lower by the resolution, after the second of the
    `failures` by twice the resolution, and so on, but not below a rate that was met.
    """
    met, upper = _bracket(trials)
    if not failures or upper is None or all(each.outcome != "met" for each in trials):
        return met
    return max(met or 0.0, _rounded(upper / RESOLUTION**failures))


def highest_met(trials: Sequence[RateTrial]) -> float | None:
    """Return the highest rate that was met, below every one that was not."""
    return _bracket(trials)[0]


def lowest_missed(trials: Sequence[RateTrial]) -> float | None:
    """Return the lowest rate that was missed; undecided ones do not count."""
    return min((each.requests_per_second for each in trials if each.outcome == "missed"), default=None)


def _bracket(trials: Sequence[RateTrial]) -> tuple[float | None, float | None]:
    """Return the highest rate that was met below the lowest one that was not, and the latter."""
    upper = min((each.requests_per_second for each in trials if each.outcome != "met"), default=None)
    met = [
        each.requests_per_second
        for each in trials
        if each.outcome == "met" and (upper is None or each.requests_per_second < upper)
    ]
    return max(met, default=None), upper


def _rounded(rate: float) -> float:
    """Return a rate of four digits, which is part of the name of its point."""
    return float(f"{rate:.4g}")


def trial_seconds(rate: float, level: ServiceLevel, request_seconds: float, shortest: float) -> float:
    """Return the length of a window that can show the attainment at a rate, at least `shortest`.

    A queue needs time to reach the limits of the level, so a window lasts ten times the longest. `request_seconds` is
    the duration of a request without a queue, 0 if it is unknown. It makes a window up to four times as long.
    """
    longest = max(level.ttft_seconds or 0.0, level.e2e_seconds or 0.0)
    needed = max(shortest, _MARGIN * trials_without_miss(level.attainment) / rate, _TIMES * longest)
    return min(max(needed, _TIMES * request_seconds), _MOST_LENGTHENED * needed)


def verdict(rate: float, loads: Sequence[LoadWindow], seconds: float, level: ServiceLevel) -> RateTrial:
    """Return the trial of a rate from its windows so far, of `seconds` in total."""
    requests = sum(len(load.requests) for load in loads)
    found = goodput(loads, seconds, level)
    if found is None:
        return RateTrial(rate, "undecided", 0, None, None, "no request was due")
    shown = f"{found.attained:.2%} met the limits, {found.attained_lower:.2%} or more with 95 % confidence"
    doubt = _doubt(loads)
    outcome: Literal["met", "missed", "undecided"] = "undecided"
    if found.met and not any(load.capped for load in loads):
        outcome, reason = "met", shown
    elif doubt:
        reason = doubt
    elif len(loads) >= MIN_WINDOWS_OF_GROWTH and queue_grows(loads):
        outcome, reason = "missed", "the queue of the server grew"
    else:
        outcome, reason = "missed" if missed(loads, level) else "undecided", shown
    return RateTrial(rate, outcome, requests, found.attained, found.attained_lower, reason)


def _doubt(loads: Sequence[LoadWindow]) -> str:
    """Return the reason why a rate that was not met says nothing about the server, empty without one."""
    if any(load.capped for load in loads):
        return "the client reached its limit of requests under way"
    late = send_lag(loads) or 0.0
    if late > send_lag_limit(_typical_seconds(loads)):
        return f"the client sent requests up to {late * 1e3:.3g} ms late (p99)"
    return ""


def _typical_seconds(loads: Sequence[LoadWindow]) -> float:
    """Return the median time to the first token, or of a request without one; 0 without a success."""
    completed = [request for load in loads for request in load.requests if request.ok]
    known = [request.time_to_first_token_seconds or request.end_to_end_seconds for request in completed]
    return median(known) if known else 0.0
