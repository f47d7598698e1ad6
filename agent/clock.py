"""One clock for the whole agent: monotonic inside, Unix time for people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Timebase:
    """Maps CLOCK_MONOTONIC to Unix time by the offset found once, so that a stepped wall clock moves no sample."""

    offset_ns: int

    @classmethod
    def now(
        cls, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> Timebase:
        """Find the offset of this moment, from the one of a few tries in which the clocks were read closest together.

        A try during which this thread had to wait for a processor would be wrong by up to that wait.
        """
        tries = []
        for _ in range(_TRIES):
            before, wall, after = monotonic_ns(), wall_ns(), monotonic_ns()
            tries.append((after - before, wall - (before + after) // 2))
        return cls(min(tries)[1])

    def unix_ns(self, monotonic_ns: int) -> int:
        """Return the Unix time of a moment on CLOCK_MONOTONIC."""
        return monotonic_ns + self.offset_ns

    def now_ns(self) -> int:
        """Return the Unix time of this moment."""
        return self.unix_ns(time.monotonic_ns())

    def behind_ns(self) -> int:
        """Return how far the wall clock is ahead of this one, in nanoseconds; negative if it was set back.

        It gets ahead when it is set forward, and when the host sleeps, in which CLOCK_MONOTONIC stands still. A clock
        that is slewed, as NTP does it, takes CLOCK_MONOTONIC with it.
        """
        return self.now().offset_ns - self.offset_ns
