"""Turns a counter of busy or idle time into the busy share of the time."""

from __future__ import annotations

import math

from probes.model import Reason
from probes.plausibility import SENTINELS

_JITTER = 0.1
"""The share by which a busy time may exceed the time between two reads, which take place a little early or late."""


class BusyTime:
    """The busy share of the last `window_seconds` or more; the counter has `per_second` counts in a second.

    The share is NaN until the first window has passed. With `counts_idle` the counter is of idle time; it may stand
    still while the device sleeps, so that the window starts again afterwards.
    """

    __slots__ = ("_before", "_counts_idle", "_per_ns", "_share", "_window_ns")

    def __init__(self, per_second: int, window_seconds: float, *, counts_idle: bool = False) -> None:
        self._per_ns = per_second / 1e9
        self._window_ns = max(1, round(window_seconds * 1e9))
        self._counts_idle = counts_idle
        self._before: tuple[int, int] | None = None
        self._share = math.nan

    def advance(self, raw: int, at_ns: int) -> float | Reason:
        """Return the share after the reading `raw`, made at `at_ns`, or RESET, SENTINEL or IMPOSSIBLE."""
        if raw < 0 or raw in SENTINELS:
            return Reason.SENTINEL
        if self._before is None:
            self._before = (raw, at_ns)
            return self._share
        counted, elapsed_ns = raw - self._before[0], at_ns - self._before[1]
        if counted < 0:
            self._restart(raw, at_ns)
            return Reason.RESET
        if elapsed_ns < self._window_ns:
            return self._share
        self._restart(raw, at_ns)
        if counted > self._per_ns * elapsed_ns * (1 + _JITTER) + 1:
            return Reason.IMPOSSIBLE
        share = min(counted / (self._per_ns * elapsed_ns), 1.0)
        self._share = 1 - share if self._counts_idle else share
        return self._share

    def pause(self) -> None:
        """Start the window again at the next reading of a counter of idle time: the device sleeps."""
        if self._counts_idle:
            self._before, self._share = None, math.nan

    def _restart(self, raw: int, at_ns: int) -> None:
        self._before, self._share = (raw, at_ns), math.nan
