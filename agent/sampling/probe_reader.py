"""Reads one probe: makes a tick of each read, and counts what went wrong."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger
from probes.errors import DeviceLostError, ReadError
from probes.model import CounterReader, IsolatableProbe
from store.records import Tick

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence

    from agent.runtime.clock import Timebase
    from probes.model import IsolatedFile, Probe, Rejection
    from store.records import Layout

HANGING_PERIODS = 3
HANGING_SECONDS = 10.0
"""A read that lasts longer than three periods and ten seconds hangs."""

SLOW_NS = 50_000_000
SLOW_READS = 5
"""A probe whose read takes so long, or half a period, so often in a row, is slow."""

log = get_logger("sampler")


@dataclass(slots=True)
class ProbeHealth:
    """How one probe's beat fares; the thread that reads keeps it up to date.

    `period_seconds` is its usual one. `last_success_ns` is Unix time, 0 before the first, and `latest` the tick of it
    that is to be shown; `reading_since_ns` is when the read that is under way began, on CLOCK_MONOTONIC, 0 between
    reads. Every beat has the time until the next one is due. `missed` counts those in which no read began, `late`
    those in which it began, but half a period or a millisecond after it was due, whichever is less. `throttled` counts
    those that the processor budget did not allow. `failed` counts reads that gave nothing at all, `dropped` reads that
    nobody took in time. `reason` is why the last read failed, empty if it did not; `faults` are the reasons of channels
    that are not read, by position.
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
        """Whether a first read has ended, one way or another."""
        return bool(self.ticks or self.failed)

    def hangs(self, now_ns: int) -> bool:
        """Tell whether at `now_ns`, on CLOCK_MONOTONIC, its read has lasted too long to be only slow."""
        since_ns = self.reading_since_ns
        longest = max(HANGING_PERIODS * self.period_seconds, HANGING_SECONDS)
        return bool(since_ns) and now_ns - since_ns > longest * 1e9


class ProbeReader:
    """Reads one probe into `queue`, which holds `limit` ticks at most: further ones are dropped and counted.

    A tick's stamps are Unix times in whole microseconds, the start rounded down and the end up, so that the read lies
    between them and the store keeps them as they are. A read that gave nothing but reasons is a tick as well: all NaN,
    with its rejections. A failure is logged once, until the next read that works.

    `periods_ns` are the base period and the one at the high rate. Once a file that hangs is isolated, the read that
    hangs in it leaves no trace here when it ends: another thread reads the probe by then.
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
        self._slow_ns = min(SLOW_NS, periods_ns[0] // 2)
        self._isolations = self.slow_reads = self.quick_reads = 0
        self._clock = clock

    @property
    def is_slow(self) -> bool:
        """Whether its reads took too long several times in a row."""
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
        except BaseException as error:  # noqa: BLE001  the edge of a thread, where even SystemExit would end it silently
            found = error
        end_ns = self._clock()
        if isolations != self._isolations:
            return
        state.reading_since_ns = 0
        self._time(end_ns - start_ns)
        values = found if isinstance(found, BaseException) else self._floats(found)
        self._finish(start_ns, end_ns, values)

    def isolate_file(self) -> IsolatedFile | None:
        """Leave out the file in which the read hangs from now on; None if the probe cannot tell which one it is."""
        hung = self.probe.isolate() if isinstance(self.probe, IsolatableProbe) else None
        if hung:
            self._isolations += 1
            self.state.reading_since_ns = 0
            self.state.faults.update(dict.fromkeys(hung.channels, f"{hung.path} does not answer"))
        return hung

    def restore_file(self, hung: IsolatedFile) -> None:
        """Read a file that hung with the others again."""
        for channel in hung.channels:
            self.state.faults.pop(channel, None)
        hung.restore()

    def drop(self, reason: str) -> None:
        """Read the probe no more."""
        self.state.lost, self.state.up, self.state.reason = True, False, reason
        log.error("sensor dropped", probe=self.state.probe, reason=reason)

    def refuse(self, failure: ReadError) -> None:
        """Count a read that was not made as a failed one, for this reason."""
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
        """Return one float a channel, or the fault of a probe that gave anything else."""
        try:
            floats = tuple(map(float, values))
        except Exception as error:  # noqa: BLE001  the edge of a probe: its fault costs no other probe anything
            return error
        if len(floats) != self._channels:  # it would spoil the store and every scrape
            return ValueError(f"{len(floats)} values for {self._channels} channels")
        return floats

    def _finish(self, start_ns: int, end_ns: int, values: tuple[float, ...] | BaseException) -> None:
        """Make a tick of a read that ended, queue it, and bring the state up to date."""
        state = self.state
        rejections = self._take_rejections() if self.probe.rejections else ()
        unix_start_ns, unix_end_ns = start_ns + self._offset_ns, end_ns + self._offset_ns
        stamps = unix_start_ns - unix_start_ns % 1000, unix_end_ns + -unix_end_ns % 1000
        if isinstance(values, BaseException):
            self._count_failure(values)
            if rejections:
                self._put(Tick(self._layout, *stamps, (math.nan,) * self._channels, rejections))
            return
        if state.lost:  # it was dropped while it was read
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
        """Take the rejections of a read out of the probe, and count them."""
        rejections = tuple(self.probe.rejections)
        self.probe.rejections.clear()
        counts = self.state.rejected
        for rejection in rejections:
            key = (rejection.channel, rejection.reason.value)
            counts[key] = counts.get(key, 0) + 1
        return rejections

    def _count_failure(self, failure: BaseException) -> None:
        """Count a read that failed; log it once, with a trace if the fault is ours."""
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
