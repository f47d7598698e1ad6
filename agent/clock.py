"""One clock for the whole agent: monotonic inside, Unix time for people."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timebase:
    """Maps CLOCK_MONOTONIC to Unix time by the offset found once, so that a stepped wall clock moves no sample."""

    offset_ns: int

    @classmethod
    def now(cls) -> Timebase:
        """Find the offset of this moment."""
        return cls(time.time_ns() - time.monotonic_ns())

    def unix_ns(self, monotonic_ns: int) -> int:
        """Return the Unix time of a moment on CLOCK_MONOTONIC."""
        return monotonic_ns + self.offset_ns

    def now_ns(self) -> int:
        """Return the Unix time of this moment."""
        return self.unix_ns(time.monotonic_ns())
