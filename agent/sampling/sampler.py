"""Reads every probe when it is due, on few threads, and holds the ticks until they are taken."""

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
"""Memory of the ticks that may wait to be taken before new ones are dropped and counted."""
STOP_SECONDS = 2.0
MAX_ISOLATED = 4
"""So many files or probes that hang are waited for, each in a thread of its own; further ones are dropped."""
MAX_STUCK = 8
"""With so many threads stuck no further one is started: what the last one read besides is dropped."""
_FIRST, _SLOW = "files", "slow-files"

log = get_logger("sampler")


def tick_bytes(channels: int) -> int:
    """Return about how many bytes of memory a tick takes: its own objects, and a float and a reference a value."""
    return 250 + 32 * channels


class Sampler:
    """Reads the probes that only read files in two threads at most, and any other in a thread of its own.

    The first thread has the probes with a high rate, and all others if they are quick; with `realtime` it is the one
    that asks the kernel to be in time. The second has the slow ones. A file that hangs keeps a thread to itself, and a
    probe that cannot leave a file out does; four of them at most, further ones are dropped. `budget` holds the
    processor time of all threads together. `hanging` are probes that a calibration still reads, each with a function
    that returns whether it has ended: until then nobody else reads them.

    Ticks wait in memory until `take`, `queue_limit` of them at most (by default what `QUEUE_BYTES` hold). Once the host
    has `suspended` nothing is read any more. `states` says how the reads of every probe fare.
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
        """How many ticks were dropped because nobody took them in time."""
        return sum(state.dropped for state in self.states)

    @property
    def waiting(self) -> int:
        """How many ticks wait to be taken."""
        return len(self._ticks)

    @property
    def realtime(self) -> Realtime:
        """How the first thread that reads files is scheduled; known once it has begun."""
        if self._limit_exceeded:
            return LIMIT_EXCEEDED
        return self.files[0].realtime if self.files else NORMAL

    def start(self, on_cycle: Callable[[int], object] | None = None) -> None:
        """Start every thread; `on_cycle` gets the moment, in the thread that reads, at which a cycle has ended."""
        self._on_cycle = on_cycle or self._on_cycle
        self.budget.begin()
        for thread in self._threads:
            thread.on_cycle = self._on_cycle
            thread.start()

    def high_rate_until(self, monotonic_ns: int) -> None:
        """Read the probes that have a high rate now, and on at that rate until a moment on CLOCK_MONOTONIC."""
        for thread in (*self._threads, *self._isolated):
            thread.high_rate_until(monotonic_ns)

    def take(self) -> list[Tick]:
        """Return the ticks since the last call, each probe's in the order of its reads; to be called once a second.

        It is also when probes are noticed that wait behind one that hangs; they go on without it.
        """
        with self._lock:
            self._adopt_calibrated()
            self._isolate_stuck()
        return [self._ticks.popleft() for _ in range(len(self._ticks))]

    def demote(self) -> None:
        """Make the real-time thread an ordinary one, and start no other: it exceeded the kernel's limit.

        A signal handler calls this, so it takes no lock.
        """
        self._limit_exceeded = True
        for thread in (*self._threads, *self._isolated):
            if self._make_ordinary(thread, LIMIT_EXCEEDED):
                log.warning("no longer real-time", reason=LIMIT_EXCEEDED.reason)

    def stop(self, within_seconds: float = STOP_SECONDS) -> tuple[Probe, ...]:
        """Ask every thread to end and wait for them so long at most.

        Returns the probes that hang inside a driver: their threads are left behind, and closing them may hang too.
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
        """Schedule the calling thread by its name, independently of the thread that started it."""
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
        """Take a slow probe from the thread that calls, which the others of it need."""
        log.warning("probe is slow: it moves to the thread of slow probes", probe=reader.state.probe)
        with self._lock:
            for thread in self._threads:
                if reader in thread.readers:
                    thread.remove(reader)
            self._add(reader)

    def _add(self, reader: ProbeReader) -> None:
        """Read a probe of files with the slow ones, and any other in a thread of its own."""
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
        """Read the probes whose calibration has ended at last."""
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
        """Leave a thread that is stuck in a file or a probe to it alone, and go on with the others in a new one."""
        groups, since_ns = thread.groups, reader.state.reading_since_ns
        thread.groups = group_by_period((reader,), time.monotonic_ns())
        file = reader.isolate_file()
        if not file and reader.state.reading_since_ns != since_ns:
            thread.groups = groups  # the read ended meanwhile
            return
        others = [each for group in groups for each in group.readers if file or each is not reader]
        self._threads.remove(thread)
        drop = len(self._isolated) >= MAX_ISOLATED
        reason = f"{file.path if file else reader.state.probe} does not answer"
        log.warning("sensor does not answer: the others go on without it", sensor=reason.partition(" ")[0])
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
        """Read a probe or a file with the others again that was isolated and is quick; its thread ends."""
        with self._lock:
            log.info("sensor answers again", thread=thread.name)
            thread.rejoin(self._add)
