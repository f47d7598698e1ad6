"""Bounds the offset of another host's clock from timed exchanges with it; pure.

The other host reads its clock between the moment before the request and the moment after the answer, so each exchange
bounds the offset, whatever the delays of the two directions are. Exchanges of a short delay give the narrowest bounds.
"""

from __future__ import annotations

import math
from collections import deque

EXCHANGES = 64
"""The number of exchanges that count; at one a second, the drift since the first of them is small."""
DRIFT = 1e-3
"""The largest drift of one clock against the other: NTP slews each by at most 500 ppm (adjtimex(2))."""


class ClockOffset:
    """The lead of another clock over CLOCK_MONOTONIC of this host, in nanoseconds."""

    def __init__(self) -> None:
        self._bounds: deque[tuple[int, int, int]] = deque(maxlen=EXCHANGES)  # since when, lowest, highest
        self._now_ns = 0

    def add(self, sent_ns: int, remote_ns: int, received_ns: int) -> None:
        """Add an exchange: this clock before the request, the other clock, and this clock after the answer."""
        self._bounds.append((sent_ns, remote_ns - received_ns, remote_ns - sent_ns))
        self._now_ns = received_ns

    def bounds_ns(self) -> tuple[int, int]:
        """Return the lowest and the highest possible offset at the last exchange.

        If exchanges contradict one another, a clock was set: only the last one counts from then on. Raises ValueError
        without an exchange.
        """
        while True:
            lowest = max(low - self._drift_ns(since_ns) for since_ns, low, _ in self._bounds)
            highest = min(high + self._drift_ns(since_ns) for since_ns, _, high in self._bounds)
            if lowest <= highest:
                return lowest, highest
            last = self._bounds.pop()
            self._bounds.clear()
            self._bounds.append(last)

    def _drift_ns(self, since_ns: int) -> int:
        return math.ceil(DRIFT * (self._now_ns - since_ns))
