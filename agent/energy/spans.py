"""Bounds the energy of a window by the readings of an averaging gauge; pure.

A reading is the mean power of a span that ends at the last refresh of the gauge. That refresh happened after the last
read of another value, and at most one update before the read. Spans that certainly cover the window bound its energy
from above; spans that certainly do not overlap bound it from below. Time without a span has the ceiling and 0 as its
bounds. The best selection of spans is a shortest path: a span costs its energy, a gap or an overlap costs the ceiling.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from agent.energy.bounds import REFRESH_JITTER_FACTOR, averaging_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from probes.model import Channel
    from store.records import Series


class Span(NamedTuple):
    """The span of one reading, in seconds from the window's start, and its energy in joules.

    It starts `seconds` before it ends, and ends between two moments.
    """

    earliest_end: float
    latest_end: float
    seconds: float
    least: float
    most: float


def spans_of(series: Series, resolution: float, ceiling: float, start_ns: int, frozen: Iterable[range]) -> list[Span]:
    """Return the spans of the readings of a gauge in time order, none if its averaging time is unknown.

    The error of a reading is at most its resolution. A reading of a part of its span does not bound the rest. `frozen`
    are reads without news.
    """
    observed, seconds = averaging_seconds(series.channel)
    stale = {read for stretch in frozen for read in stretch}
    spans = []
    for read, earliest, latest in _refreshes(series, start_ns) if observed else ():
        watts = series.values[read]
        least = observed * max(0.0, watts - resolution)
        most = observed * max(0.0, watts + resolution) + (seconds - observed) * ceiling
        if read not in stale:
            spans.append(Span(earliest, latest, seconds, least, most))
    return spans


def _refreshes(series: Series, start_ns: int) -> Iterable[tuple[int, float, float]]:
    """Yield each read that can show a new refresh, with the earliest and the latest time of that refresh."""
    update, before, shown = _slowest_update_seconds(series.channel), -math.inf, -math.inf
    halves = series.halves_ns or (0,) * len(series.times_ns)
    start = 0.0
    for read, (at_ns, half_ns) in enumerate(zip(series.times_ns, halves, strict=True)):
        last_start, start = start, (at_ns - half_ns - start_ns) / 1e9
        is_new = read == 0 or series.values[read] != series.values[read - 1]
        if is_new and read:
            before = last_start
        earliest = max(before, start - update)
        if is_new or earliest > shown:
            shown = earliest
            yield read, earliest, (at_ns + half_ns - start_ns) / 1e9


def _slowest_update_seconds(channel: Channel) -> float:
    return REFRESH_JITTER_FACTOR * channel.observed_refresh_seconds or channel.refresh_seconds


def most_joules(spans: Sequence[Span], seconds: float, ceiling: float) -> float:
    """Return the upper bound of the energy of a window from 0 to `seconds`."""
    sure = [(span.latest_end - span.seconds, span.earliest_end, span.most) for span in spans]
    return _cheapest([each for each in sure if each[0] < each[1]], seconds, ceiling, 0.0)


def least_joules(spans: Sequence[Span], seconds: float, ceiling: float) -> float:
    """Return the lower bound of the energy of a window from 0 to `seconds`."""
    widest = [(span.earliest_end - span.seconds, span.latest_end, -span.least) for span in spans]
    return -_cheapest(widest, seconds, 0.0, ceiling)


def _cheapest(spans: Sequence[tuple[float, float, float]], seconds: float, gap: float, overlap: float) -> float:
    """Return the lowest cost of a path from 0 to `seconds` over spans, each with its head, tail and cost.

    A second without a span costs `gap`, one in two spans or beyond an end of the window `overlap`.
    """
    inside = [each for each in spans if each[1] > 0 and each[0] < seconds]
    tails, totals = [0.0], [0.0]
    best, passed, first = gap * seconds, math.inf, 0  # `first`: the first span whose tail lies beyond the head
    for head, tail, cost in inside:
        while first < len(tails) and tails[first] <= head:
            passed = min(passed, totals[first] - gap * tails[first])
            first += 1
        beyond = (totals[k] + overlap * (tails[k] - head) for k in range(first, len(tails)))
        total = cost + min(passed + gap * head, min(beyond, default=math.inf))
        tails.append(tail)
        totals.append(total)
        best = min(best, total + gap * max(0.0, seconds - tail) + overlap * max(0.0, tail - seconds))
    return best
