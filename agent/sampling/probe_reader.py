"""Reads one probe: makes a tick of each read, and counts errors."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger
from probes.errors import DeviceLostError, ReadError
from probes.model import CounterReader, IsolatableProbe, TimedProbe
from store.records import Tick

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from agent.runtime.clock import Timebase
    from probes.model import IsolatedFile, Probe, Rejection
    from store.records import Layout

OVERDUE_PERIODS = 3
OVERDUE_SECONDS = 10.0
"""A read that lasts longer than three periods and ten seconds hangs, and a tick that is older is not exported."""

SLOW_NS = 50_000_000
SLOW_READS = 5
"""A probe is slow if this many reads in a row take longer than this, or longer than half a period."""

log = get_logger("sampler")


def overdue_ns(period_seconds: float) -> int:
    """Return the age from which a read hangs and a tick is stale, in nanoseconds."""
    return round(max(OVERDUE_PERIODS * period_seconds, OVERDUE_SECONDS) * 1e9)


@dataclass(slots=True)
class ProbeHealth:
    """The state and the counts of one probe's reads; the thread that reads it updates them.

    `period_seconds` is the base period. `last_success_ns` is Unix time, 0 before the first success, and `latest` is the
    tick to export. `reading_since_ns` is the start of the read in progress on CLOCK_MONOTONIC, 0 between reads. Three
    counts are of scheduled reads: `missed` did not begin before the next one was due, `late` began half a period or
    1 ms late (whichever is less), and `throttled` exceeded the CPU budget. `failed` counts reads without any value,
    `dropped` ticks that were not taken in time. `reason` is the error of the last read, empty if it succeeded;
    `faults` has the reason for each channel that is not read, by position.
    """

    probe: str
    period_seconds: float
    up: bool = True
    lost: bool = False
    read_seconds: float = 0.0
    last_success_ns: int = 0
    ticks: int = 0
    missed: int = 0
    late: int = 0
    throttled: int = 0
    failed: int = 0
    dropped: int = 0
    rejected: dict[tuple[int, str], int] = field(default_factory=dict)
    reading_since_ns: int = 0
    latest: Tick | None = None
    reason: str = ""
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def tried(self) -> bool:
        """Whether a first read has succeeded or failed."""
        return bool(self.ticks or self.failed)

    def hangs(self, now_ns: int) -> bool:
        """Return whether the read in progress hangs at `now_ns` on CLOCK_MONOTONIC."""
        since_ns = self.reading_since_ns
        return bool(since_ns) and now_ns - since_ns > overdue_ns(self.period_seconds)


class ProbeReader:
    """Reads one probe into `queue`, which holds at most `limit` ticks; further ones are dropped and counted.

    The times of a tick are Unix times in whole microseconds, as the store has them: the start is rounded down and the
    end up, so that the read lies between them. A failed read with rejections is a tick too, all NaN. A failure is
    logged once, until a read succeeds.

    `periods_ns` are the base period and the period at the high rate. A read that hangs in an isolated file is ignored
    when it ends, as another thread reads the probe by then.
    """

    __slots__ = (
        "_channels",
        "_clock",
        "_counter_reader",
        "_isolations",
        "_layout",
        "_limit",
        "_offset_ns",
        "_queue",
        "_slow_ns",
        "_timed_probe",
        "periods_ns",
        "probe",
        "quick_reads",
        "slow_reads",
        "state",
    )  # fmt: skip

    def __init__(
        self,
        layout: Layout,
        probe: Probe,
        state: ProbeHealth,
        timebase: Timebase,
        queue: deque[Tick],
        limit: int,
        periods_ns: tuple[int, int],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.probe = probe
        self.state = state
        self._layout = layout.id
        self._channels = len(layout.channels)
        self._offset_ns = timebase.offset_ns
        self._queue = queue
        self._limit = limit
        self.periods_ns = periods_ns
        self._counter_reader = probe if isinstance(probe, CounterReader) else None
        self._timed_probe = probe if isinstance(probe, TimedProbe) else None
        self._slow_ns = min(SLOW_NS, periods_ns[0] // 2)
        self._isolations = self.slow_reads = self.quick_reads = 0
        self._clock = clock

    @property
    def is_slow(self) -> bool:
        """Whether several reads in a row took too long."""
        return self.slow_reads >= SLOW_READS

    def read(self, late_from_ns: int, *, counters_only: bool = False) -> None:
        """Read the probe once; the read is late if it begins after `late_from_ns` on CLOCK_MONOTONIC.

        With `counters_only` a probe that can do so reads its energy counters alone.
        """
        state, isolations = self.state, self._isolations
        start_ns = state.reading_since_ns = self._clock()
        if start_ns > late_from_ns:
            state.late += 1
        found: Sequence[float] | BaseException
        try:
            if counters_only and self._counter_reader:
                found = self._counter_reader.read_counters(start_ns)
            else:
                found = self.probe.read(start_ns)
        except BaseException as error:  # noqa: BLE001  the top of a thread, which even SystemExit would end silently
            found = error
        end_ns = self._clock()
        if isolations != self._isolations:
            return
        state.reading_since_ns = 0
        self._time(end_ns - start_ns)
        values = found if isinstance(found, BaseException) else self._floats(found)
        if self._timed_probe and not isinstance(values, BaseException):
            if self._timed_probe.taken_ns is None:
                return
            start_ns, end_ns = self._timed_probe.taken_ns
        self._finish(start_ns, end_ns, values)

    def isolate_file(self) -> IsolatedFile | None:
        """Exclude the file in which the read hangs, and return it; None if the probe cannot identify it."""
        hung = self.probe.isolate() if isinstance(self.probe, IsolatableProbe) else None
        if hung:
            self._isolations += 1
            self.state.reading_since_ns = 0
            self.state.faults.update(dict.fromkeys(hung.channels, f"{hung.path} does not answer"))
        return hung

    def restore_file(self, hung: IsolatedFile) -> None:
        """Read a file that hung together with the others again."""
        for channel in hung.channels:
            self.state.faults.pop(channel, None)
        hung.restore()

    def drop(self, reason: str) -> None:
        """Stop reading the probe, permanently."""
        self.state.lost, self.state.up, self.state.reason = True, False, reason
        log.error("sensor dropped", probe=self.state.probe, reason=reason)

    def refuse(self, failure: ReadError) -> None:
        """Count a read that was not made as failed, with this error."""
        now_ns = self._clock()
        self._finish(now_ns, now_ns, failure)

    def _time(self, took_ns: int) -> None:
        """Count slow and quick reads in a row."""
        self.state.read_seconds = took_ns / 1e9
        if took_ns > self._slow_ns:
            self.slow_reads, self.quick_reads = self.slow_reads + 1, 0
        else:
            self.slow_reads, self.quick_reads = 0, self.quick_reads + 1

    def _floats(self, values: Sequence[float]) -> tuple[float, ...] | Exception:
        """Return one float per channel, or the error of a probe that returned anything else."""
        try:
            floats = tuple(map(float, values))
        except Exception as error:  # noqa: BLE001  the boundary of a probe: its fault must not affect other probes
            return error
        if len(floats) != self._channels:  # it would break the store and every scrape
            return ValueError(f"{len(floats)} values for {self._channels} channels")
        return floats

    def _finish(self, start_ns: int, end_ns: int, values: tuple[float, ...] | BaseException) -> None:
        """Make a tick of a completed read, queue it, and update the state."""
        state = self.state
        rejections = self._take_rejections() if self.probe.rejections else ()
        unix_start_ns, unix_end_ns = start_ns + self._offset_ns, end_ns + self._offset_ns
        stamps = unix_start_ns - unix_start_ns % 1000, unix_end_ns + -unix_end_ns % 1000
        if isinstance(values, BaseException):
            self._count_failure(values)
            if rejections:
                self._put(Tick(self._layout, *stamps, (math.nan,) * self._channels, rejections))
            return
        if state.lost:  # the probe was dropped during the read
            return
        tick = Tick(self._layout, *stamps, values, rejections)
        if not state.up:
            state.reason = ""
            log.info("probe reads again", probe=state.probe)
            state.up = True
        if not (rejections and all(map(math.isnan, values))):
            state.latest = tick
        state.last_success_ns = tick.end_ns
        self._put(tick)
        state.ticks += 1

    def _put(self, tick: Tick) -> None:
        if len(self._queue) < self._limit:
            self._queue.append(tick)
        else:
            self.state.dropped += 1

    def _take_rejections(self) -> tuple[Rejection, ...]:
        """Remove the rejections of a read from the probe, and count them."""
        rejections = tuple(self.probe.rejections)
        self.probe.rejections.clear()
        counts = self.state.rejected
        for rejection in rejections:
            key = (rejection.channel, rejection.reason.value)
            counts[key] = counts.get(key, 0) + 1
        return rejections

    def _count_failure(self, failure: BaseException) -> None:
        """Count a failed read; log it once, with a traceback if it is a fault in this program."""
        state = self.state
        state.failed += 1
        state.reason = str(failure) or repr(failure)
        if isinstance(failure, DeviceLostError):
            state.lost = True
            log.error("device lost", probe=state.probe, reason=str(failure))
        elif state.up and isinstance(failure, ReadError):
            log.warning("read failed", probe=state.probe, reason=str(failure))
        elif state.up:
            log.error("probe fault", probe=state.probe, reason=repr(failure), exc_info=failure)
        state.up = False
