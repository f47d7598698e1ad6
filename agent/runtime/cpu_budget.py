"""The CPU budget of all sampling threads: a token bucket that time fills and reads empty."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_BUDGET = 0.05
"""The default share of one CPU."""
UNLIMITED = 0.0
BURST_SECONDS = 0.1
"""The capacity of the bucket: CPU time that the reads at an edge of a window may use at once."""
BASE_BURST_SECONDS = 0.03
"""The part of it that reads at the base rate may use; the rest is reserved for edges."""
_SPAN_GAP_NS = 1_000_000_000
_MOST_SPANS = 100


@dataclass(slots=True)
class ThrottledSpan:
    """A period on CLOCK_MONOTONIC in which reads waited for the budget, and the sum of the waits."""

    start_ns: int
    end_ns: int
    waited_ns: int


class CpuBudget:
    """Delays reads while the CPU time of sampling exceeds `share` of one CPU; a share of 0 sets no limit.

    Each sampling thread charges the CPU time that it used. Between charges the bucket fills at the rate of `share`, up
    to the burst. Its debt is at most one burst, so every pause is bounded.
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
        """Subtract the CPU time that a thread used."""
        with self._lock:
            self.used_ns += cpu_ns
            self._fill()
            self._left_ns = max(self._left_ns - cpu_ns, -float(self._burst_ns))

    def pause_ns(self, *, reserved: bool) -> int:
        """Return the time until the next read may begin, in nanoseconds.

        With `reserved` it may use the whole burst; others leave the part reserved for edges.
        """
        if not self.share:
            return 0
        with self._lock:
            self._fill()
            missing = (0 if reserved else self._reserve_ns) - self._left_ns
            return max(0, round(missing / self.share))

    def record_wait(self, start_ns: int, end_ns: int) -> None:
        """Record that reads waited for the budget in a period on CLOCK_MONOTONIC."""
        with self._lock:
            last = self.spans[-1] if self.spans else None
            if last and (start_ns - last.end_ns < _SPAN_GAP_NS or len(self.spans) == _MOST_SPANS):
                last.end_ns = max(last.end_ns, end_ns)
                last.waited_ns += end_ns - start_ns
            else:
                self.spans.append(ThrottledSpan(start_ns, end_ns, end_ns - start_ns))

    @property
    def used_share(self) -> float:
        """The share of one CPU that sampling used since `begin`."""
        return self.used_ns / max(1, self._clock() - self._began_ns)

    def meter(self) -> CpuMeter:
        """Return a meter that charges the CPU time of the calling thread to this budget."""
        return CpuMeter(self)

    def _fill(self) -> None:
        now_ns = self._clock()
        self._left_ns = min(self._left_ns + (now_ns - self._at_ns) * self.share, float(self._burst_ns))
        self._at_ns = now_ns


class CpuMeter:
    """Charges a budget with the CPU time of the thread that created the meter."""

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
