"""One clock for the whole agent: monotonic inside, Unix time for people."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TRIES = 5
_SUSPEND_NS = 100_000_000
"""A difference of the clocks that no reading of them makes."""


def boottime_ns() -> int:
    """Return CLOCK_BOOTTIME: CLOCK_MONOTONIC and the time the host slept, from the same start."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Timebase:
    """Maps CLOCK_MONOTONIC to Unix time by the offset found once, so that a stepped wall clock moves no sample.

    `suspended_ns` is how long the host had slept since its boot when the offset was found.
    """

    offset_ns: int
    suspended_ns: int = 0

    @classmethod
    def now(
        cls,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        boot_ns: Callable[[], int] = boottime_ns,
    ) -> Timebase:
        """Find the offsets of this moment, from the one of a few tries in which the clocks were read closest together.

        A try during which this thread had to wait for a processor would be wrong by up to that wait.
        """
        tries = []
        for _ in range(_TRIES):
            before, wall, boot, after = monotonic_ns(), wall_ns(), boot_ns(), monotonic_ns()
            middle = (before + after) // 2
            tries.append((after - before, wall - middle, boot - middle))
        _, offset_ns, suspended_ns = min(tries)
        return cls(offset_ns, suspended_ns)

    def unix_ns(self, monotonic_ns: int) -> int:
        """Return the Unix time of a moment on CLOCK_MONOTONIC."""
        return monotonic_ns + self.offset_ns

    def boot_ns(self, unix_ns: int) -> int:
        """Return the moment on CLOCK_BOOTTIME of a Unix time of this clock, of the same boot in every process."""
        return unix_ns - self.offset_ns + self.suspended_ns

    def now_ns(self) -> int:
        """Return the Unix time of this moment."""
        return self.unix_ns(time.monotonic_ns())

    def wall_clock_offset_ns(self) -> int:
        """Return how far the wall clock is ahead of this one, in nanoseconds; negative if it was set back.

        It gets ahead when it is set forward, and when the host sleeps, in which CLOCK_MONOTONIC stands still. A clock
        that is slewed, as NTP does it, takes CLOCK_MONOTONIC with it.
        """
        return self.now().offset_ns - self.offset_ns

    def quick_wall_clock_offset_ns(self) -> int:
        """Return `wall_clock_offset_ns` from one reading of both clocks, minus the time that passed in between."""
        return time.time_ns() - time.monotonic_ns() - self.offset_ns


class SuspendDetector:
    """Tells whether the host has slept since a recording began, which ends the recording.

    What is read after the sleep would be stamped with times of the sleep, and counters may have wrapped meanwhile more
    often than a probe can tell. `on_resume` is told of it once; it is to have the host looked at anew.
    """

    def __init__(
        self,
        timebase: Timebase,
        on_resume: Callable[[], object],
        boot_ns: Callable[[], int] = boottime_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._most_ns = timebase.suspended_ns + _SUSPEND_NS
        self._on_resume = on_resume
        self._boot_ns = boot_ns
        self._monotonic_ns = monotonic_ns
        self._suspended = False

    def suspended(self) -> bool:
        """Tell whether it has slept."""
        # in this order of the clocks no wait for a processor looks like a sleep
        if self._boot_ns() - self._monotonic_ns() <= self._most_ns:
            return False
        if not self._suspended:
            self._suspended = True
            self._on_resume()
        return True
