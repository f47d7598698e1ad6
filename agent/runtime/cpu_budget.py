"""One budget of processor time for everything that samples: a bucket that fills with time and that reading empties."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_BUDGET = 0.05
"""The default share of one processor."""
UNLIMITED = 0.0
BURST_SECONDS = 0.1
"""Processor time that the edges of a window may take at once; it is saved up before."""
BASE_BURST_SECONDS = 0.03
"""The part of it that reads at the base rate may take; the rest is for edges alone."""
_SPAN_GAP_NS = 1_000_000_000
_MOST_SPANS = 100


@dataclass(slots=True)
class ThrottledSpan:
    """A stretch of CLOCK_MONOTONIC in which reads waited for the budget, and how long they waited in all."""

    start_ns: int
    end_ns: int
    waited_ns: int


class CpuBudget:
    """Lets reads go on only as long as processor time is left; a `share` of 0 sets no limit.

    Every thread that samples charges what its processor clock says it used. Between charges the bucket fills at the
    rate of `share`, up to the burst. An empty bucket is never more than one burst in debt, so a pause is bounded.
    """

    def __init__(self, share: float = CPU_BUDGET, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.share = share
        self.used_ns = 0
        self.spans: list[ThrottledSpan] = []
        self._clock = clock
        self._burst_ns = round(BURST_SECONDS * 1e9)
        self._reserve_ns = self._burst_ns - round(BASE_BURST_SECONDS * 1e9)
        self._left_ns = float(self._burst_ns)
        self._began_ns = self._at_ns = clock()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Measure `used_share` from now on."""
        self.used_ns, self._began_ns = 0, self._clock()

    def charge(self, cpu_ns: int) -> None:
        """Take the processor time that a thread used."""
        with self._lock:
            self.used_ns += cpu_ns
            self._fill()
            self._left_ns = max(self._left_ns - cpu_ns, -float(self._burst_ns))

    def pause_ns(self, *, high_rate: bool) -> int:
        """Return how long the next read has to wait, in nanoseconds; 0 if it may begin.

        A read at the high rate may use up the burst, one at the base rate leaves the part that edges need.
        """
        if not self.share:
            return 0
        with self._lock:
            self._fill()
            missing = (0 if high_rate else self._reserve_ns) - self._left_ns
            return max(0, round(missing / self.share))

    def record_wait(self, start_ns: int, end_ns: int) -> None:
        """Note that reads waited for the budget in a stretch of CLOCK_MONOTONIC."""
        with self._lock:
            last = self.spans[-1] if self.spans else None
            if last and (start_ns - last.end_ns < _SPAN_GAP_NS or len(self.spans) == _MOST_SPANS):
                last.end_ns = max(last.end_ns, end_ns)
                last.waited_ns += end_ns - start_ns
            else:
                self.spans.append(ThrottledSpan(start_ns, end_ns, end_ns - start_ns))

    @property
    def used_share(self) -> float:
        """The share of one processor that sampling used since the budget began."""
        return self.used_ns / max(1, self._clock() - self._began_ns)

    def meter(self) -> CpuMeter:
        """Return what charges the processor time of the calling thread to this budget."""
        return CpuMeter(self)

    def _fill(self) -> None:
        now_ns = self._clock()
        self._left_ns = min(self._left_ns + (now_ns - self._at_ns) * self.share, float(self._burst_ns))
        self._at_ns = now_ns


class CpuMeter:
    """Charges a budget with the processor time of one thread, the one that made it."""

    __slots__ = ("_budget", "_clock", "_last_ns")

    def __init__(self, budget: CpuBudget, clock: Callable[[], int] = time.thread_time_ns) -> None:
        self._budget = budget
        self._clock = clock
        self._last_ns = clock()

    def charge(self) -> None:
        """Charge the time since the last call."""
        now_ns = self._clock()
        self._budget.charge(now_ns - self._last_ns)
        self._last_ns = now_ns
