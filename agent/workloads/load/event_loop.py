"""The event loop of a load: timers that are exact to microseconds, and a record of its own lateness."""

from __future__ import annotations

import asyncio
import select
import selectors
import time

_PERIOD_SECONDS = 0.005


class _ExactSelector(selectors.EpollSelector):
    """An epoll selector whose time-outs are not rounded up to milliseconds, as those of epoll_wait are."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, up to `timeout` seconds."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], (), (), timeout)
            timeout = 0
        return super().select(timeout)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop with exact timers."""
    return asyncio.SelectorEventLoop(_ExactSelector())


class LoopLag:
    """Measures how late the event loop runs a timer that is due every 5 ms, and the CPU time of this process."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + _PERIOD_SECONDS
        self._timer = self._loop.call_at(self._due, self._measure)
        self._cpu_start = self._cpu_end = time.process_time()

    def _measure(self) -> None:
        now = self._loop.time()
        self._lags.append(now - self._due)
        self._due = max(self._due + _PERIOD_SECONDS, now)
        self._timer = self._loop.call_at(self._due, self._measure)

    def stop(self) -> None:
        """End the measurement."""
        self._cpu_end = time.process_time()
        self._timer.cancel()

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of this process between the begin and the end of the measurement."""
        return self._cpu_end - self._cpu_start

    @property
    def p99_seconds(self) -> float:
        """The 99th percentile of the lateness, 0 without a measurement."""
        return sorted(self._lags)[(len(self._lags) * 99 - 1) // 100] if self._lags else 0.0

    @property
    def max_seconds(self) -> float:
        """The largest lateness."""
        return max(self._lags, default=0.0)
