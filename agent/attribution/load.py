"""The load of a model as a histogram: the rates of requests and tokens in bins of ten seconds, by hour; pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from store.records import ServingHour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.attribution.traffic import Interval

BIN_SECONDS = 10
BIN_NS = BIN_SECONDS * 10**9
HOUR_NS = 3600 * 10**9
LEVELS_PER_OCTAVE = 8
"""Neighboring levels of a histogram differ by 9 %."""
LONGEST_SPREAD_NS = 3 * BIN_NS
"""The longest time between two readings over which increments are spread; the bins of a longer one are unknown."""
_FULL = 0.999

ARRIVALS, SERVED = "arrivals", "served"
"""The basis of a load: requests when they were received, or when they ended."""

Histogram = dict[float, list[int]]
"""Bins, and censored bins among them, by the upper limit of their rate; 0 is a level."""


def level(rate: float) -> float:
    """Return the upper limit of the level of a rate per second, a power of 2^(1/8); 0 for no load."""
    if rate <= 0:
        return 0.0
    exponent = math.ceil(LEVELS_PER_OCTAVE * math.log2(rate) - 1e-9)
    return float(f"{2 ** (exponent / LEVELS_PER_OCTAVE):.6g}")


def parse_histogram(text: str) -> Histogram:
    """Return a stored histogram, a JSON list of [limit, bins, censored bins]."""
    return {limit: [bins, censored] for limit, bins, censored in json.loads(text)}


def histogram_text(histogram: Histogram) -> str:
    """Return a histogram in its stored form."""
    rows = [[limit, *histogram[limit]] for limit in sorted(histogram)]
    return json.dumps(rows, separators=(",", ":"))


def rate_at(histogram: Histogram, share: float) -> float | None:
    """Return the rate that a share of the bins do not exceed; None without bins."""
    total = sum(bins for bins, _ in histogram.values())
    below = 0
    for limit in sorted(histogram):
        below += histogram[limit][0]
        if below >= share * total:
            return limit
    return None


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return the sum of histograms."""
    found: Histogram = {}
    for histogram in histograms:
        for limit, (bins, censored) in histogram.items():
            row = found.setdefault(limit, [0, 0])
            row[0] += bins
            row[1] += censored
    return found


@dataclass(slots=True)
class _Bin:
    """A bin that is not complete yet: the covered time, and its counts."""

    covered_ns: int = 0
    requests: float | None = 0.0
    tokens: float = 0.0
    censored: bool = False


@dataclass(slots=True)
class _Hour:
    """The sums and histograms of one hour so far."""

    basis: str
    source: str
    bins: int = 0
    censored: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    requests: Histogram = field(default_factory=dict)
    tokens: Histogram = field(default_factory=dict)

    def add(self, name: str, amount: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + amount


class HourlyLoad:
    """Collects the load of one model of a server; `basis` is that of its requests, `source` that of its energy.

    A bin is censored if requests waited or errors rose in it: the load that was served is then less than the demand.
    """

    def __init__(self, basis: str, source: str = "") -> None:
        self._basis, self.source = basis, source
        self._open: dict[int, _Bin] = {}
        self._hours: dict[int, _Hour] = {}

    def resume(self, stored: ServingHour) -> None:
        """Continue an hour that was stored before a restart."""
        hour = self._hour(stored.hour)
        hour.source, hour.bins, hour.censored = stored.source, stored.bins, stored.censored_bins
        hour.sums = {name: value for name in SUMS if (value := getattr(stored, name)) is not None}
        hour.requests, hour.tokens = (
            parse_histogram(stored.requests_histogram),
            parse_histogram(stored.tokens_histogram),
        )

    def add(self, interval: Interval, span_seconds: float, requests: float | None, *, censored: bool) -> None:
        """Add an interval; `requests` are those that arrived in it, or ended if arrivals are unknown.

        The counts are those of the `span_seconds` before its end, the time since the last reading; 0 without a new one.
        """
        start_ns = interval.end_ns - round(interval.seconds * 1e9)
        hour = self._hour(max(start_ns, interval.end_ns - 1) // HOUR_NS)
        hour.source = self.source or hour.source
        for name in ("errors", "input_tokens", "output_tokens", "duration"):
            if name in interval.counts:
                hour.add(name, interval.counts[name])
        if requests is not None:
            hour.add("requests", requests)
        for name in ("idle", "attributed"):
            energy = getattr(interval, name)
            hour.add(f"{name}_joules", energy.joules)
            hour.add(f"{name}_lower", energy.lower)
            hour.add(f"{name}_upper", energy.upper)
        hour.add("seconds", span_seconds)
        span_ns = round(span_seconds * 1e9)
        if span_ns:
            if span_ns <= LONGEST_SPREAD_NS:
                self._spread(interval, interval.end_ns - span_ns, requests, censored=censored)
            self._complete(interval.end_ns)

    def _spread(self, interval: Interval, start_ns: int, requests: float | None, *, censored: bool) -> None:
        """Distribute the counts of a span, which ends with an interval, over its bins by time."""
        end_ns = interval.end_ns
        for number in range(start_ns // BIN_NS, (end_ns - 1) // BIN_NS + 1):
            part_ns = min(end_ns, (number + 1) * BIN_NS) - max(start_ns, number * BIN_NS)
            share = part_ns / (end_ns - start_ns)
            each = self._open.setdefault(number, _Bin())
            each.covered_ns += part_ns
            each.tokens += interval.counts.get("output_tokens", interval.counts.get("input_tokens", 0.0)) * share
            each.requests = None if requests is None or each.requests is None else each.requests + requests * share
            each.censored = each.censored or censored

    def _complete(self, now_ns: int) -> None:
        """Count the bins that have ended and were observed from start to end."""
        for number in [each for each in self._open if (each + 1) * BIN_NS <= now_ns]:
            ended = self._open.pop(number)
            if ended.covered_ns < _FULL * BIN_NS:
                continue
            hour = self._hour(number * BIN_NS // HOUR_NS)
            hour.bins += 1
            hour.censored += ended.censored
            _count(hour.tokens, ended.tokens, censored=ended.censored)
            if ended.requests is not None:
                _count(hour.requests, ended.requests, censored=ended.censored)

    def _hour(self, number: int) -> _Hour:
        return self._hours.setdefault(number, _Hour(self._basis, self.source))

    def records(self, host_id: str, server: str, model: str) -> tuple[ServingHour, ...]:
        """Return the hours as they are stored, and drop all but the newest two, which may still change."""
        found = tuple(_record(host_id, server, model, number, hour) for number, hour in sorted(self._hours.items()))
        for number in sorted(self._hours)[:-2]:
            del self._hours[number]
        return found


SUMS = (
    "seconds",
    "requests",
    "errors",
    "input_tokens",
    "output_tokens",
    "duration",
    *(f"{part}_{bound}" for part in ("idle", "attributed") for bound in ("joules", "lower", "upper")),
)
"""The sums of an hour, which the store has under the same names."""


def _count(histogram: Histogram, amount: float, *, censored: bool) -> None:
    row = histogram.setdefault(level(amount / BIN_SECONDS), [0, 0])
    row[0] += 1
    row[1] += censored


def _record(host_id: str, server: str, model: str, number: int, hour: _Hour) -> ServingHour:
    sums: Mapping[str, float | None] = {name: hour.sums.get(name) for name in SUMS}
    return ServingHour(
        host_id,
        server,
        model,
        number,
        hour.basis,
        hour.source,
        hour.bins,
        hour.censored,
        histogram_text(hour.requests),
        histogram_text(hour.tokens),
        **sums,
    )
