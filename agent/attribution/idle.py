"""Estimates the idle power of a device from minutes in which it had no work; pure.

The servers stay loaded, so this is the power of a loaded and idle device. Before the first such minute only a bound is
known: idle power is at most the lowest power of a minute so far.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from agent.energy.bounds import Energy

MINUTE_SECONDS = 60.0
_DRAINED_MINUTES = 10
"""The number of drained minutes that count, the latest ones: idle power follows the temperature."""
_MINUTES = 60
"""The number of minutes of which the lowest power counts."""


@dataclass(frozen=True, slots=True)
class IdlePower:
    """Idle power in watts with bounds; `at_ns` is the end of the last drained minute, None before the first one."""

    watts: float
    lower: float
    upper: float
    at_ns: int | None = None

    def times(self, seconds: float) -> Energy:
        """Return the idle energy of a time."""
        return Energy(self.watts * seconds, self.lower * seconds, self.upper * seconds)


@dataclass(slots=True)
class _Minute:
    """The intervals so far of the current minute."""

    seconds: float = 0.0
    joules: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    drained: bool = True


class IdleEstimator:
    """Collects the intervals of one device into minutes; `earlier` is the estimate before a restart of the service."""

    def __init__(self, earlier: IdlePower | None = None) -> None:
        known = () if earlier is None else (Energy(earlier.watts, earlier.lower, earlier.upper),)
        self._drained: deque[Energy] = deque(known, maxlen=_DRAINED_MINUTES)
        self._all: deque[Energy] = deque(known, maxlen=_MINUTES)
        self._at_ns = earlier.at_ns if earlier else None
        self._minute = _Minute()

    @property
    def power(self) -> IdlePower:
        """The estimate now.

        It is the mean of the last drained minutes, and at most the lowest mean power of a minute in the last hour. Its
        bounds include those of each of these minutes. Without a drained minute it is 0, with that lowest power as its
        upper bound; without any minute there is none.
        """
        lowest = min(self._all, key=lambda each: each.joules, default=None)
        if not self._drained or lowest is None:
            return IdlePower(0.0, 0.0, lowest.upper if lowest else math.inf)
        watts = min(math.fsum(each.joules for each in self._drained) / len(self._drained), lowest.joules)
        lower = min(watts, lowest.lower, *(each.lower for each in self._drained))
        return IdlePower(watts, lower, max(watts, *(each.upper for each in self._drained)), self._at_ns)

    def add(self, energy: Energy, seconds: float, end_ns: int, *, drained: bool) -> None:
        """Add an interval that ends at `end_ns`; `drained` states that the device had no work in it."""
        minute = self._minute
        minute.seconds += seconds
        minute.joules += energy.joules
        minute.lower += energy.lower
        minute.upper += energy.upper
        minute.drained = minute.drained and drained
        if minute.seconds < MINUTE_SECONDS:
            return
        power = Energy(minute.joules, minute.lower, minute.upper).times(1 / minute.seconds)
        self._all.append(power)
        if minute.drained:
            self._drained.append(power)
            self._at_ns = end_ns
        self._minute = _Minute()

    def interrupt(self) -> None:
        """Drop the current minute: a server is down, so the power is not that of a loaded device."""
        self._minute = _Minute()
