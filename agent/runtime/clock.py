"""The clock of all samples: monotonic inside, Unix time outside."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TRIES = 5
_SUSPEND_NS = 100_000_000
"""A difference between the clocks that is larger than any error of reading them."""


def boottime_ns() -> int:
    """Return CLOCK_BOOTTIME: CLOCK_MONOTONIC plus the time for which the host was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Timebase:
    """Maps CLOCK_MONOTONIC to Unix time by a constant offset, so that a step of the wall clock moves no sample.

    `suspended_ns` is the time for which the host had been suspended since its boot when the offset was measured.
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
        """Measure the offsets now, several times; the try with the shortest time between the clocks counts.

        If this thread waits for a CPU during a try, that try is wrong by up to the wait.
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
        """Return the lead of the wall clock over this one, in nanoseconds; negative if it was set back.

        The wall clock gains when it is set forward and while the host is suspended, as CLOCK_MONOTONIC stops then. NTP
        slews CLOCK_MONOTONIC as well.
        """
        return self.now().offset_ns - self.offset_ns

    def quick_wall_clock_offset_ns(self) -> int:
        """Return `wall_clock_offset_ns` from one reading of both clocks, less the time between the readings."""
        return time.time_ns() - time.monotonic_ns() - self.offset_ns


class SuspendDetector:
    """Detects that the host was suspended since the recording began, which ends the recording.

    Later samples would have times within the suspension, and counters may have wrapped more often than a probe can
    detect. `on_resume` is called once, to start a new recording.
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
        """Return whether the host was suspended."""
        # in this order of the clocks, a wait for a CPU cannot look like a suspension

        if self._boot_ns() - self._monotonic_ns() <= self._most_ns:
            return False
        if not self._suspended:
            self._suspended = True
            self._on_resume()
        return True
