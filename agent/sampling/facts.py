"""The facts of a recording, as frozen records: its scheduling, its CPU budget and the reads that it lost."""

from __future__ import annotations

import msgspec


class ThrottledPeriod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of time in which the CPU budget delayed reads, in Unix nanoseconds, and the sum of the delays."""

    start_ns: int
    end_ns: int
    delayed_seconds: float


class SamplingConditions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scheduling of the thread that reads the sensors, the CPU reserved for it, and the reads it lost.

    `limitation` is the reason for anything it was not granted, None if it has all it requested. `cpu_budget` is the
    share of one CPU that sampling may use, None without a limit, and `cpu_share` the share that it used.
    `reads_throttled` did not happen because of the budget, in the periods `throttled`. `faults` are the sensors that
    fail or do not answer at the end, with the reason. Documents before schema 2.0 have none of these.
    """

    policy: str
    priority: int
    cpu: int | None
    limitation: str | None
    reads_missed: int
    reads_late: int
    reads_throttled: int = 0
    throttled: tuple[ThrottledPeriod, ...] = ()
    cpu_budget: float | None = None
    cpu_share: float | None = None
    faults: tuple[str, ...] = ()
