"""Reads all probes on schedule in a few threads, and queues the ticks until they are taken."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from agent.runtime.cpu_budget import UNLIMITED, CpuBudget
from agent.runtime.logs import get_logger
from agent.runtime.realtime import (
    LIMIT_EXCEEDED,
    NORMAL,
    InheritedScheduling,
    Realtime,
    acquire_realtime,
    decline_realtime,
    demote,
    ordinary,
)
from agent.sampling.probe_reader import ProbeHealth, ProbeReader
from agent.sampling.schedule import group_by_period, split_by_speed
from agent.sampling.thread import SamplingThread, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agent.runtime.clock import Timebase
    from agent.sampling.schedule import ScheduledProbe
    from probes.model import Probe
    from store.records import Tick

QUEUE_BYTES = 64 << 20
"""The memory of queued ticks beyond which new ones are dropped and counted."""
STOP_SECONDS = 2.0
MAX_ISOLATED = 4
"""The maximum number of files or probes that hang and are retried, each in its own thread; others are dropped."""
MAX_STUCK = 8
"""The number of stuck threads from which no new one is started: the other probes of the last one are dropped."""
_FIRST, _SLOW = "files", "slow-files"

log = get_logger("sampler")


def tick_bytes(channels: int) -> int:
    """Return the approximate memory of a tick in bytes: its own objects, and a float and a reference per value."""
    return 250 + 32 * channels


class Sampler:
    """Reads the probes that only use files in one or two threads, and each of the others in its own thread.

    The first thread of files has the probes with a high rate, and all others if they are quick; with `realtime` it
    requests real-time scheduling. The second has the slow probes. A file that hangs is isolated in its own thread, or
    its whole probe if that cannot exclude a file; at most four are isolated, and further ones are dropped. `budget`
    limits the CPU time of all threads. `hanging` maps probes that a calibration still reads to a function that returns
    whether the read has ended; the sampler does not read them before.

    Ticks are queued until `take`, at most `queue_limit` of them (by default as many as fit into `QUEUE_BYTES`). After
    the host was `suspended` nothing is read. `states` has the state of each probe.
    """

    def __init__(
        self,
        probes: Sequence[ScheduledProbe],
        timebase: Timebase,
        queue_limit: int = 0,
        *,
        realtime: bool | None = None,
        suspended: Callable[[], bool] = lambda: False,
        budget: CpuBudget | None = None,
        hanging: Mapping[Probe, Callable[[], bool]] | None = None,
    ) -> None:
        self.layouts = tuple(scheduled.layout for scheduled in probes)
        self.states = tuple(ProbeHealth(scheduled.probe.name, scheduled.period_seconds) for scheduled in probes)
        self.budget = budget or CpuBudget(UNLIMITED)
        self._ticks: deque[Tick] = deque()
        self._on_cycle: Callable[[int], object] = ignore
        self._suspended = suspended
        self._stopping = False
        self._limit_exceeded = False
        self._inherited = InheritedScheduling.of_this_thread()
        self._lock = threading.Lock()
        self._isolated: list[SamplingThread] = []
        widest = max((len(layout.channels) for layout in self.layouts), default=0)
        limit = queue_limit or QUEUE_BYTES // tick_bytes(widest)
        readers = [
            ProbeReader(scheduled.layout, scheduled.probe, state, timebase, self._ticks, limit, scheduled.periods_ns)
            for scheduled, state in zip(probes, self.states, strict=True)
        ]
        calibrating = hanging or {}
        self._calibrating = [(reader, calibrating[reader.probe]) for reader in readers if reader.probe in calibrating]
        for reader, _ in self._calibrating:
            reader.state.reading_since_ns = time.monotonic_ns()
        free = [reader for reader in readers if reader.probe not in calibrating]
        first, second = split_by_speed([reader for reader in free if reader.probe.files_only], probes)
        self._enter_first = ordinary if realtime is None else acquire_realtime if realtime else decline_realtime
        self._threads = [self._thread(_FIRST, first)] if first else []
        self._threads += [self._thread(_SLOW, second)] if second else []
        self.files = tuple(self._threads)
        drivers = [reader for reader in free if not reader.probe.files_only]
        self._threads += [self._thread(reader.state.probe, (reader,)) for reader in drivers]

    @property
    def dropped(self) -> int:
        """The number of ticks that were dropped because the queue was full."""
        return sum(state.dropped for state in self.states)

    @property
    def waiting(self) -> int:
        """The number of queued ticks."""
        return len(self._ticks)

    @property
    def realtime(self) -> Realtime:
        """The scheduling of the first thread of files; valid after it has begun."""
        if self._limit_exceeded:
            return LIMIT_EXCEEDED
        return self.files[0].realtime if self.files else NORMAL

    def start(self, on_cycle: Callable[[int], object] | None = None) -> None:
        """Start every thread; `on_cycle` gets the end of each cycle, in the thread that reads."""
        self._on_cycle = on_cycle or self._on_cycle
        self.budget.begin()
        for thread in self._threads:
            thread.on_cycle = self._on_cycle
            thread.start()

    def high_rate_until(self, monotonic_ns: int) -> None:
        """Read the probes with a high rate now, and at that rate until a time on CLOCK_MONOTONIC."""
        for thread in (*self._threads, *self._isolated):
            thread.high_rate_until(monotonic_ns)

    def take(self) -> list[Tick]:
        """Return the ticks since the last call, in the order of reads for each probe; call it once a second.

        It also detects a probe that hangs, and isolates it so that the others of its thread continue.
        """
        with self._lock:
            self._adopt_calibrated()
            self._isolate_stuck()
        return [self._ticks.popleft() for _ in range(len(self._ticks))]

    def demote(self) -> None:
        """Return the real-time thread to the default policy, permanently: it exceeded the kernel's limit.

        A signal handler calls this, so it takes no lock.
        """
        self._limit_exceeded = True
        for thread in (*self._threads, *self._isolated):
            if self._make_ordinary(thread, LIMIT_EXCEEDED):
                log.warning("no longer real-time", reason=LIMIT_EXCEEDED.reason)

    def stop(self, within_seconds: float = STOP_SECONDS) -> tuple[Probe, ...]:
        """Stop every thread, waiting at most `within_seconds`.

        Returns the probes that hang in a driver: their threads are abandoned, and closing the probes may hang too.
        """
        deadline = time.monotonic() + within_seconds
        with self._lock:
            self._stopping = True
            threads = [*self._threads, *self._isolated]
        for thread in threads:
            thread.ask_to_stop()
        hanging = [reader.probe for thread in threads for reader in thread.join(max(0.0, deadline - time.monotonic()))]
        hanging += [reader.probe for reader, ended in self._calibrating if not ended()]
        hanging += [thread.hung_probe for thread in threads if thread.alive and thread.hung_probe is not None]
        return tuple(hanging)

    def _enter(self, name: str) -> Realtime:
        """Set the scheduling of the calling thread by its name, whichever thread started it."""
        self._inherited.restore(threading.get_native_id())
        if name != _FIRST:
            return NORMAL
        return LIMIT_EXCEEDED if self._limit_exceeded else self._enter_first()

    def _make_ordinary(self, thread: SamplingThread, realtime: Realtime) -> bool:
        if thread.realtime.policy != "fifo" or not demote(thread.thread_id):
            return False
        self._inherited.restore(thread.thread_id)
        thread.realtime = realtime
        return True

    def _thread(self, name: str, readers: Iterable[ProbeReader]) -> SamplingThread:
        slow = self._move_to_slow if name != _SLOW else None
        return SamplingThread(
            name,
            readers,
            budget=self.budget,
            enter=lambda: self._enter(name),
            suspended=self._suspended,
            on_cycle=self._on_cycle,
            slow=slow,
            quick=self._rejoin,
            lock=self._lock,
        )

    def _move_to_slow(self, reader: ProbeReader) -> None:
        """Move a slow probe out of the calling thread, which must read the other probes in time."""
        log.warning("probe is slow: it moves to the thread of slow probes", probe=reader.state.probe)
        with self._lock:
            for thread in self._threads:
                if reader in thread.readers:
                    thread.remove(reader)
            self._add(reader)

    def _add(self, reader: ProbeReader) -> None:
        """Read a probe of files in the thread of slow probes, and any other in its own thread."""
        reader.slow_reads = 0
        if not reader.probe.files_only:
            self._start_thread(self._thread(reader.state.probe, (reader,)))
            return
        self._threads = [thread for thread in self._threads if not thread.ended]
        slow = next((thread for thread in self._threads if thread.name == _SLOW), None)
        if slow:
            slow.add(reader)
        else:
            self._start_thread(self._thread(_SLOW, (reader,)))

    def _start_thread(self, thread: SamplingThread) -> None:
        self._threads.append(thread)
        if self._stopping:
            thread.ask_to_stop()
        thread.start()

    def _adopt_calibrated(self) -> None:
        """Start reading the probes whose calibration has ended."""
        for calibrating in self._calibrating.copy():
            reader, ended = calibrating
            if ended():
                self._calibrating.remove(calibrating)
                reader.state.reading_since_ns = 0
                self._add(reader)

    def _isolate_stuck(self) -> None:
        now_ns = time.monotonic_ns()
        self._isolated = [thread for thread in self._isolated if thread.alive]
        for thread in self._threads.copy():
            reader = thread.stuck_reader(now_ns)
            if reader and (reader.probe.files_only or len(thread.readers) > 1):
                self._isolate(thread, reader)

    def _isolate(self, thread: SamplingThread, reader: ProbeReader) -> None:
        """Dedicate a stuck thread to its file or probe, and continue the other probes in a new thread."""
        groups, since_ns = thread.groups, reader.state.reading_since_ns
        thread.groups = group_by_period((reader,), time.monotonic_ns())
        file = reader.isolate_file()
        if not file and reader.state.reading_since_ns != since_ns:
            thread.groups = groups  # the read has ended meanwhile
            return
        others = [each for group in groups for each in group.readers if file or each is not reader]
        self._threads.remove(thread)
        drop = len(self._isolated) >= MAX_ISOLATED
        reason = f"{file.path if file else reader.state.probe} does not answer"
        log.warning("sensor does not answer: the others continue without it", sensor=reason.partition(" ")[0])
        thread.isolate(reader, file, last=drop)
        if drop:
            reason = f"{reason}, as {MAX_ISOLATED} other sensors: it is dropped"
            if file:
                reader.state.faults.update(dict.fromkeys(file.channels, reason))
                log.error("sensor dropped", probe=reader.state.probe, reason=reason)
            else:
                reader.drop(reason)
        self._make_ordinary(thread, NORMAL)
        self._isolated.append(thread)
        if len(self._isolated) >= MAX_STUCK:
            for other in others:
                other.drop(f"not read: {len(self._isolated)} sensors hang")
        elif others:
            going_on = self._thread(thread.name, others)
            going_on.high_rate_until_ns = thread.high_rate_until_ns
            self.files = tuple(going_on if each is thread else each for each in self.files)
            self._start_thread(going_on)

    def _rejoin(self, thread: SamplingThread) -> None:
        """Read an isolated probe or file that is quick again together with the others; its thread ends."""
        with self._lock:
            log.info("sensor answers again", thread=thread.name)
            thread.rejoin(self._add)
