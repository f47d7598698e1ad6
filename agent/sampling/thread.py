"""One sampling thread: reads its probes on absolute deadlines, at a base rate or at a high rate."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from agent.runtime.cpu_budget import UNLIMITED, CpuBudget
from agent.runtime.realtime import NORMAL, ordinary
from agent.sampling.schedule import group_by_period
from probes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.runtime.realtime import Realtime
    from agent.sampling.probe_reader import ProbeReader
    from agent.sampling.schedule import ReaderGroup
    from probes.model import IsolatedFile, Probe

LATE_NS = 1_000_000
STUCK_NS = 1_000_000_000
"""A read that lasts longer than this and a period delays the other probes of its thread, and is isolated."""
QUICK_READS = 10
"""The number of quick reads in a row after which an isolated probe or file is read with the others again."""
_RETRY_SECONDS = 0.5
_SHORT_SECONDS = 0.005


def ignore(_ended_ns: int) -> None:
    """Do nothing at the end of a cycle."""


class Wakeup:
    """Makes a thread wait for a timeout or for another thread; waits of up to 5 ms are not interrupted."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or after a `set`."""
        if seconds > _SHORT_SECONDS:
            self._lock.acquire(timeout=seconds)
        else:
            time.sleep(max(0.0, seconds))  # a tenth cheaper, which matters at a thousand cycles a second

    def set(self) -> None:
        """End the present wait, or the next one."""
        try:
            self._lock.release()
        except RuntimeError:  # it was set already
            return


class SamplingThread:
    """One thread, and the groups of readers that it reads.

    `lock` protects changes of `groups`, by this thread or another. `enter` runs first in the thread and returns its
    scheduling. After the host was `suspended`, nothing is read and every read is a failure. `on_cycle` gets the end of
    each cycle of reads on CLOCK_MONOTONIC. `slow` gets a reader that is too slow for the others; `quick` gets this
    thread when the reader or the file isolated in it is quick again.
    """

    def __init__(
        self,
        name: str,
        readers: Iterable[ProbeReader],
        *,
        budget: CpuBudget | None = None,
        enter: Callable[[], Realtime] = ordinary,
        suspended: Callable[[], bool] = lambda: False,
        on_cycle: Callable[[int], object] = ignore,
        slow: Callable[[ProbeReader], object] | None = None,
        quick: Callable[[SamplingThread], object] = lambda _: None,
        lock: threading.Lock | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        wakeup: Wakeup | None = None,
    ) -> None:
        self.name = name
        self.groups: tuple[ReaderGroup, ...] = ()
        self.realtime = NORMAL
        self.isolated = False
        self.ended = False
        self.isolated_file: IsolatedFile | None = None
        self._reader: ProbeReader | None = None
        self._last = False
        self.began_ns = 0
        self.high_rate_until_ns = 0
        self.on_cycle = on_cycle
        self.enter = enter
        self._budget = budget or CpuBudget(UNLIMITED)
        self._suspended = suspended
        self._slow = slow
        self._quick = quick
        self._lock = lock or threading.Lock()
        self._clock = clock
        self._wakeup = wakeup or Wakeup()
        self._stopping = False
        self._thread = threading.Thread(target=self.run, name=f"sampling-{name}", daemon=True)
        self.groups = group_by_period(readers, clock())

    @property
    def readers(self) -> tuple[ProbeReader, ...]:
        """The readers of all groups."""
        return tuple(reader for group in self.groups for reader in group.readers)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def thread_id(self) -> int:
        """The kernel's id of the thread, 0 before it began."""
        return self._thread.native_id or 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, reader: ProbeReader) -> None:
        """Add a reader; the caller holds the lock."""
        self.groups = (*self.groups, *group_by_period((reader,), self._clock()))
        self._wakeup.set()

    def remove(self, reader: ProbeReader) -> None:
        """Remove a reader; the caller holds the lock."""
        left = (group.without(reader) if reader in group.readers else group for group in self.groups)
        self.groups = tuple(group for group in left if group.readers)

    def high_rate_until(self, monotonic_ns: int) -> None:
        """Read at the high rate from now until a time on CLOCK_MONOTONIC; the last call counts."""
        self.high_rate_until_ns = monotonic_ns
        self._wakeup.set()

    def isolate(self, reader: ProbeReader, file: IsolatedFile | None, *, last: bool) -> None:
        """Dedicate this thread to a probe that hangs, or to one of its files; the caller holds the lock.

        A dedicated thread retries its file after the read that hangs, and returns it when it is quick again. With
        `last` the thread ends after that read.
        """
        self.isolated, self._reader, self.isolated_file = True, reader, file
        if file or last:
            self.groups = ()
        self._last = last

    @property
    def hung_probe(self) -> Probe | None:
        """The probe that a read here may still use, though no reader of this thread has it; None if there is none."""
        return self._reader.probe if self._reader and (self.isolated_file or self._last) else None

    def rejoin(self, add: Callable[[ProbeReader], object]) -> None:
        """Return the isolated file or probe, and end; `add` takes a whole probe."""
        if self._reader and self.isolated_file:
            self._reader.restore_file(self.isolated_file)
        elif self._reader:
            self.groups = ()
            add(self._reader)

    def ask_to_stop(self) -> None:
        """Stop after the read in progress."""
        self._stopping = True
        self._wakeup.set()

    def join(self, seconds: float) -> tuple[ProbeReader, ...]:
        """Wait for the end of the thread; return the readers whose probe hangs after `seconds`."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return tuple(reader for reader in self.readers if self.alive and reader.state.reading_since_ns)

    def stuck_reader(self, now_ns: int) -> ProbeReader | None:
        """Return the reader whose read delays the others at `now_ns` on CLOCK_MONOTONIC, None if none does."""
        for group in self.groups:
            for reader in group.readers:
                since_ns = reader.state.reading_since_ns
                if since_ns and now_ns - since_ns > max(STUCK_NS, group.period_ns):
                    return reader
        return None

    def run(self) -> None:
        """Read the due groups until a stop is requested or no group is left."""
        self.realtime = self.enter()
        meter = self._budget.meter()
        self.began_ns = self._clock()
        for group in self.groups:
            group.due_ns = self.began_ns
        while not self._is_over():
            if self._cycle():
                meter.charge()
        if self.isolated_file and not self._last:
            self._retry_file(self.isolated_file)

    def _is_over(self) -> bool:
        """Return whether the thread ends; after that no reader can be added."""
        if self.groups and not self._stopping:
            return False
        with self._lock:
            self.ended = not self.groups or self._stopping
        return self.ended

    def _cycle(self) -> bool:
        """Read the due groups, or wait for the next one; return whether anything was read."""
        groups, now_ns = self.groups, self._clock()
        high_rate = now_ns < self.high_rate_until_ns
        due = [group for group in groups if group.is_due(now_ns, high_rate=high_rate)]
        if not due:
            self._wakeup.wait((min(group.due_ns for group in groups) - now_ns) / 1e9)
            return False
        pauses_ns = [self._budget.pause_ns(reserved=group.may_use_reserve(now_ns)) for group in due]
        allowed = [group for group, pause_ns in zip(due, pauses_ns, strict=True) if not pause_ns]
        for group, pause_ns in zip(due, pauses_ns, strict=True):
            if pause_ns and not group.waits_since_ns:
                group.waits_since_ns = now_ns
        if not allowed:
            self._pause(due, min(pauses_ns), now_ns)
            return False
        for group in allowed:
            late_from_ns = group.due_ns + min(group.period_ns // 2, LATE_NS)
            group.due_ns += group.period_ns
            if not self._read(groups, group, late_from_ns):
                return True
            group.waits_since_ns = 0
        self.on_cycle(self._clock())
        return True

    def _pause(self, due: Sequence[ReaderGroup], pause_ns: int, now_ns: int) -> None:
        """Wait until the budget allows a read of the due groups, or until another group may be read."""
        others = [group.due_ns - now_ns for group in self.groups if group.at_high_rate and group not in due]
        others += [group.reserve_ns - now_ns for group in due if group.reserve_ns > now_ns]
        self._wakeup.wait(min(pause_ns, *others, pause_ns) / 1e9)
        self._budget.record_wait(now_ns, self._clock())

    def _read(self, groups: tuple[ReaderGroup, ...], group: ReaderGroup, late_from_ns: int) -> bool:
        """Read the probes of a group that are not lost; return whether the groups are unchanged."""
        lost, counters_only = False, group.wants_counters_only(self._clock())
        for reader in group.readers:
            if reader.state.lost:
                lost = True
                continue
            if self._suspended():
                reader.refuse(ReadError("the host was suspended; a new recording begins"))
            else:
                reader.read(late_from_ns, counters_only=counters_only)
            if self._stopping or self.groups is not groups:
                return self._await_regroup()
        if lost:
            with self._lock:
                for reader in group.readers:
                    if reader.state.lost:
                        self.remove(reader)
        self._sort_by_speed(group)
        return self.groups is groups

    def _await_regroup(self) -> bool:
        """Wait until another thread has changed the groups."""
        with self._lock:
            return False

    def _sort_by_speed(self, group: ReaderGroup) -> None:
        """Move a probe that was slow several times in a row, or an isolated one that is quick again."""
        if self.isolated:
            if all(reader.quick_reads >= QUICK_READS for reader in group.readers):
                self._quick(self)
        elif self._slow and (len(self.groups) > 1 or len(group.readers) > 1):
            for reader in group.readers:
                if reader.is_slow:
                    self._slow(reader)

    def _retry_file(self, file: IsolatedFile) -> None:
        """Read an isolated file until it is quick again."""
        quick = 0
        while quick < QUICK_READS and not self._stopping:
            quick = quick + 1 if file.answers() else 0
            self._wakeup.wait(_RETRY_SECONDS)
        if not self._stopping:
            self._quick(self)
