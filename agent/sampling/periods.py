"""The samples of consecutive periods of a measurement, each in bounded memory."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from agent.sampling.downsampling import Downsampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Layout, Tick

_AROUND_NS = 10_000_000_000
"""A period has the ticks from this time before its begin to this time after its end, for slow sensors."""


class PeriodSamples:
    """A sink of ticks: each period has its own `Downsampler`. The ticks of a short time before a period are its too."""

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self._layouts = tuple(layouts)
        self._recent: deque[Tick] = deque()
        self._open: list[tuple[Downsampler, int | None]] = []
        self._lock = Lock()

    def begin(self) -> Downsampler:
        """Begin a period now, and return its samples, which grow until a short time after its end."""
        with self._lock:
            samples = Downsampler(self._layouts)
            samples.take(tuple(self._recent))
            self._open.append((samples, None))
            return samples

    def end(self, at_ns: int) -> None:
        """End the present period at a Unix time in nanoseconds."""
        with self._lock:
            self._open = [(samples, at_ns if end is None else end) for samples, end in self._open]

    def take(self, ticks: Sequence[Tick]) -> None:
        """Take ticks, in time order within each layout."""
        with self._lock:
            for samples, _ in self._open:
                samples.take(ticks)
            self._recent.extend(ticks)
            if not ticks:
                return
            oldest_ns = ticks[-1].end_ns - _AROUND_NS
            while self._recent[0].end_ns < oldest_ns:
                self._recent.popleft()
            self._open = [(samples, end) for samples, end in self._open if end is None or end >= oldest_ns]
