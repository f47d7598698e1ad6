"""Schedules readers with equal periods on absolute deadlines, and counts the reads that did not begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.sampling.probe_reader import ProbeReader
    from probes.model import Probe
    from store.records import Layout

SLOW_SECONDS = 0.005
"""A probe whose read takes longer is read in the second thread of files."""
SHARED_SECONDS = 0.0005
"""Probes without a high rate share the first thread with the others if their reads take at most this long in total."""

LONGEST_WAIT_NS = 1_000_000_000
"""The time after which a read that waits for the CPU budget may use the part reserved for edges."""


class ReaderGroup:
    """Readers with the same base period and the same period at the high rate.

    The n-th read is due at start + n periods. Slow reads or a busy host cause missed reads, which are counted, but no
    drift. The high rate begins with an immediate read.
    """

    __slots__ = ("base_ns", "due_ns", "full_read_due_ns", "high_ns", "period_ns", "readers", "waits_since_ns")

    def __init__(self, readers: Iterable[ProbeReader], periods_ns: tuple[int, int], due_ns: int = 0) -> None:
        self.readers = tuple(readers)
        self.base_ns, self.high_ns = periods_ns
        self.period_ns = self.base_ns
        self.due_ns = due_ns
        self.waits_since_ns = 0
        self.full_read_due_ns = 0

    def may_use_reserve(self, now_ns: int) -> bool:
        """Return whether a read may use the part of the CPU budget that is reserved for edges.

        It may at the high rate, and if it has waited for long: frequent edges must not stop all other reads.
        """
        return self.at_high_rate or bool(self.waits_since_ns and now_ns >= self.reserve_ns)

    @property
    def reserve_ns(self) -> int:
        """The time from which a read that waits may use the reserved part."""
        return self.waits_since_ns + LONGEST_WAIT_NS

    @property
    def at_high_rate(self) -> bool:
        """Whether it is read faster than at its base rate."""
        return self.period_ns < self.base_ns

    def without(self, reader: ProbeReader) -> ReaderGroup:
        """Return the group of the other readers, with the same schedule."""
        left = ReaderGroup(
            (each for each in self.readers if each is not reader), (self.base_ns, self.high_ns), self.due_ns
        )
        left.period_ns, left.full_read_due_ns = self.period_ns, self.full_read_due_ns
        left.waits_since_ns = self.waits_since_ns
        return left

    def is_due(self, now_ns: int, *, high_rate: bool) -> bool:
        """Apply a change of the rate; return whether the readers are due now."""
        wanted_ns = self.high_ns if high_rate else self.base_ns
        if wanted_ns < self.period_ns:
            self._count(now_ns)
            self.due_ns, self.period_ns = now_ns, wanted_ns
        if now_ns < self.due_ns:
            return False
        self.due_ns += self._count(now_ns) * self.period_ns
        self.period_ns = wanted_ns
        return True

    def wants_counters_only(self, now_ns: int) -> bool:
        """Return whether this read needs only energy counters: at the high rate, between reads at the base rate."""
        if self.at_high_rate and now_ns < self.full_read_due_ns:
            return True
        self.full_read_due_ns = now_ns + self.base_ns
        return False

    def _count(self, now_ns: int) -> int:
        """Count the reads that were due and did not begin, as throttled or missed; return their number."""
        passed = max(0, (now_ns - self.due_ns) // self.period_ns)
        for reader in self.readers if passed else ():
            if self.waits_since_ns:
                reader.state.throttled += passed
            else:
                reader.state.missed += passed
        return passed


def group_by_period(readers: Iterable[ProbeReader], due_ns: int = 0) -> tuple[ReaderGroup, ...]:
    """Return the readers by their periods."""
    by_periods: dict[tuple[int, int], list[ProbeReader]] = {}
    for reader in readers:
        by_periods.setdefault(reader.periods_ns, []).append(reader)
    return tuple(ReaderGroup(some, periods_ns, due_ns) for periods_ns, some in by_periods.items())


def split_by_speed(
    readers: Sequence[ProbeReader], probes: Iterable[ScheduledProbe]
) -> tuple[list[ProbeReader], list[ProbeReader]]:
    """Return the readers of the first and of the second thread of files.

    The first has the probes with a high rate that are not slow, and all other quick probes if their reads take little
    time.
    """
    cost = {scheduled.probe: scheduled.read_seconds for scheduled in probes}
    quick = [reader for reader in readers if cost[reader.probe] < SLOW_SECONDS]
    edges = [reader for reader in quick if reader.periods_ns[1] < reader.periods_ns[0]]
    rest = [reader for reader in quick if reader not in edges]
    alone = edges and sum(cost[reader.probe] for reader in rest) > SHARED_SECONDS
    first = edges if alone else quick
    return first, [reader for reader in readers if reader not in first]


_ASSUMED_READ_SECONDS = 0.0001


@dataclass(frozen=True, slots=True)
class ScheduledProbe:
    """A probe, its base period, and its period at the high rate, in seconds.

    The high rate is for the edges of a window. A probe whose high-rate period is 0 is always read at its base rate.
    """

    layout: Layout
    probe: Probe
    period_seconds: float
    high_rate_seconds: float = 0.0

    @property
    def periods_ns(self) -> tuple[int, int]:
        """The base period and the one at the high rate, in nanoseconds."""
        base, high = self.period_seconds, self.high_rate_seconds or self.period_seconds
        return max(1, round(base * 1e9)), max(1, round(high * 1e9))

    @property
    def read_seconds(self) -> float:
        """The calibrated time of a read, or an assumed one."""
        return max((channel.read_seconds for channel in self.layout.channels), default=0.0) or _ASSUMED_READ_SECONDS
