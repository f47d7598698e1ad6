"""A queue with known capacity in place of a server: open-loop loads on it, without a clock."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loads import report, streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.workloads.load_records import LoadWindow


@dataclass
class QueueServer:
    """`slots` requests are served at once, first come first served; `service` draws the seconds of one.

    `offered` has every rate and length of a window that was asked for.
    """

    service: Callable[[random.Random], float]
    slots: int = 1
    seed: int = 0
    offered: list[tuple[float, float]] = field(default_factory=list)
    sources: dict[int, random.Random] = field(default_factory=dict)

    def measure(self, rate: float, seconds: float) -> tuple[Sequence[LoadWindow], float]:
        """Offer Poisson arrivals to the empty server for two more windows' worth of lead-in, and report the window."""
        self.offered.append((rate, seconds))
        source = self.sources.setdefault(0, random.Random(self.seed))
        free, now, requests, times = [0.0] * self.slots, 0.0, [], []
        lead = 0.5 * seconds
        while (now := now + source.expovariate(rate)) < lead + seconds:
            end = max(now, heapq.heappop(free)) + self.service(source)
            heapq.heappush(free, end)
            times.append((now, end))
            if now >= lead:
                requests.append(streamed(now - lead, end - now, 0.0))
        under_way = tuple(sum(due < edge <= end for due, end in times) for edge in (lead, lead + seconds))
        return [report(requests, in_flight=under_way)], seconds

    def confirm(self, rate: float, seconds: float) -> tuple[Sequence[LoadWindow], float]:
        """Offer it for three windows."""
        windows = [self.measure(rate, seconds) for _ in range(3)]
        return [load for loads, _ in windows for load in loads], 3 * seconds


def exponential(mean_seconds: float) -> Callable[[random.Random], float]:
    """Return a service of exponential times: M/M/c."""
    return lambda source: source.expovariate(1 / mean_seconds)


def constant(seconds: float) -> Callable[[random.Random], float]:
    """Return a service of one length: M/D/c."""
    return lambda _: seconds
