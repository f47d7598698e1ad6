"""The traffic of one model of a server over the last hour, and its joules per output token and its cost; pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agent.attribution.parts import NOTHING, OUTPUT_WEIGHT, tokens_of
from agent.cost.lines import capital_per_hour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.attribution.exposition import Counts
    from agent.cost.tariff import Tariff
    from agent.energy.bounds import Energy

WINDOWS_SECONDS = (60, 300, 900, 3600)
"""The lengths of a window, the shortest sufficient one counts."""
LEAST_DURATIONS = 10
"""The length of a window in mean durations of a request: requests that cross its edges then matter little."""
_JOULES_PER_KWH = 3.6e6
_SECONDS_PER_HOUR = 3600
_MILLION = 1e6

DurationBasis = Literal["reported", "in_flight", "at_most"]
"""The source of a mean duration: the server's own times; by Little's law, requests in flight over the rate of ended
requests; or an upper limit by the same law, from the number of scrapes at which tokens had been added."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The time between two scrapes: increments of counters, requests in flight (None: unknown), and energy."""

    end_ns: int
    seconds: float
    counts: Counts
    in_flight: float | None
    idle: Energy = NOTHING
    attributed: Energy = NOTHING


@dataclass(slots=True)
class WindowFigures:
    """The sums over a window; `energy` is idle and attributed energy; counts that the server lacks are absent."""

    window_seconds: int
    seconds: float = 0.0
    energy: Energy = NOTHING
    counts: Counts = field(default_factory=dict)
    in_flight_seconds: float | None = 0.0
    advances: int = 0

    def add(self, interval: Interval) -> None:
        """Add one more interval."""
        self.seconds += interval.seconds
        self.energy = self.energy.plus(interval.idle).plus(interval.attributed)
        for quantity, value in interval.counts.items():
            self.counts[quantity] = self.counts.get(quantity, 0.0) + value
        if self.in_flight_seconds is not None and interval.in_flight is not None:
            self.in_flight_seconds += interval.in_flight * interval.seconds
        else:
            self.in_flight_seconds = None
        self.advances += tokens_of(interval.counts) > 0 or interval.counts.get("requests", 0.0) > 0

    def mean_duration(self) -> tuple[float, DurationBasis] | None:
        """Return the mean duration of a request in seconds, or its upper limit; None if neither is known."""
        requests = self.counts.get("requests", 0.0)
        if requests and "duration" in self.counts:
            return self.counts["duration"] / requests, "reported"
        if self.in_flight_seconds is None:
            return None
        if requests:
            return self.in_flight_seconds / requests, "in_flight"
        return (self.in_flight_seconds / self.advances, "at_most") if self.advances else None

    @property
    def joules_per_output_token(self) -> Energy | None:
        """The energy of the window over its output tokens."""
        tokens = self.counts.get("output_tokens", 0.0)
        return self.energy.times(1 / tokens) if tokens else None


class Traffic:
    """The intervals of the last hour."""

    def __init__(self) -> None:
        self._intervals: deque[Interval] = deque()
        self._seconds = 0.0

    def add(self, interval: Interval) -> None:
        """Add the newest interval, and drop those before the longest window."""
        self._intervals.append(interval)
        self._seconds += interval.seconds
        while self._seconds - self._intervals[0].seconds >= WINDOWS_SECONDS[-1]:
            self._seconds -= self._intervals.popleft().seconds

    def window(self) -> WindowFigures | None:
        """Return the shortest window with output tokens that lasts at least ten mean durations of a request."""
        figures = WindowFigures(0)
        lengths = iter(WINDOWS_SECONDS)
        length = next(lengths)
        for interval in reversed(self._intervals):
            figures.add(interval)
            if figures.seconds < length:
                continue
            duration = figures.mean_duration()
            if duration and length >= LEAST_DURATIONS * duration[0] and figures.counts.get("output_tokens"):
                figures.window_seconds = length
                return figures
            length = next((each for each in lengths if each > figures.seconds), 0)
            if not length:
                return None
        return None


def model_shares(models: Mapping[str, Counts]) -> dict[str, float]:
    """Return the shares of a server's models in its energy: by tokens, else by requests, else equal."""
    for weigh in (tokens_of, lambda counts: counts.get("requests", 0.0)):
        weights = {model: weigh(counts) for model, counts in models.items()}
        if total := sum(weights.values()):
            return {model: weight / total for model, weight in weights.items()}
    return dict.fromkeys(models, 1 / len(models)) if models else {}


@dataclass(frozen=True, slots=True)
class TokenCost:
    """The cost of a million tokens: of all, or of one phase with the method that allocates cost to it (OpenCost)."""

    phase: Literal["", "prompt", "generation"]
    allocation_method: Literal["", "compute_time", "multiplier"]
    amount: float


def token_costs(figures: WindowFigures, tariff: Tariff, machine_share: float) -> Iterable[TokenCost]:
    """Yield the costs of a million tokens: energy including idle, and a share of the machine's capital.

    This is the allocation basis: the cost of a machine at the utilization of the window. There is none without a price
    of energy and a capital.
    """
    hourly = capital_per_hour(tariff)
    if tariff.energy_price is None or hourly is None:
        return
    cost = figures.energy.joules / _JOULES_PER_KWH * tariff.overhead * tariff.energy_price
    cost += hourly * figures.seconds / _SECONDS_PER_HOUR * machine_share
    tokens = {
        "prompt": figures.counts.get("input_tokens", 0.0),
        "generation": figures.counts.get("output_tokens", 0.0),
    }
    if total := sum(tokens.values()):
        yield TokenCost("", "", cost / total * _MILLION)
    prefill, decode = figures.counts.get("prefill", 0.0), figures.counts.get("decode", 0.0)
    timed = prefill > 0 and decode > 0
    weights = (prefill, decode) if timed else (tokens["prompt"], OUTPUT_WEIGHT * tokens["generation"])
    if tokens["prompt"]:
        part = cost * weights[0] / sum(weights)
        yield TokenCost("prompt", "compute_time" if timed else "multiplier", part / tokens["prompt"] * _MILLION)
    if tokens["generation"]:
        part = cost * weights[1] / sum(weights)
        yield TokenCost("generation", "compute_time" if timed else "multiplier", part / tokens["generation"] * _MILLION)
