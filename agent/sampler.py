"""Reads every probe on its beat and holds the ticks until they are taken."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.beat import BeatState, Reader
from agent.beats import Beats, tell_nobody
from agent.log import get_logger
from agent.realtime import NORMAL, obtain, ordinary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.beat import Reading
    from agent.clock import Timebase
    from agent.realtime import Realtime
    from probes.model import Probe
    from store.records import Layout, Tick

QUEUE_BYTES = 64 << 20
"""Memory of the readings and ticks that may wait to be taken before new ones are dropped and counted."""
_TIMES_CHANNELS = 3
"""A reading takes as much memory as a tick of so many times its channels: integers of files, two for some channels."""
STOP_SECONDS = 2.0

log = get_logger("sampler")


def weight(channels: int) -> int:
    """Return about how many bytes of memory a tick takes: its own objects, and a float and a reference a value."""
    return 250 + 32 * channels


@dataclass(frozen=True, slots=True)
class Paced:
    """A probe and its beat: the usual period and the dense one, in seconds.

    The dense pace is for the edges of a window. 0 means that the probe has none: it keeps to its usual pace.
    """

    layout: Layout
    probe: Probe
    period_seconds: float
    dense_seconds: float = 0.0

    @property
    def periods_ns(self) -> tuple[int, int]:
        """The usual period and the dense one, in nanoseconds."""
        usual, dense = self.period_seconds, self.dense_seconds or self.period_seconds
        return max(1, round(usual * 1e9)), max(1, round(dense * 1e9))


class Sampler:
    """Reads probes of the same beat that only read files in one thread, and any other in a thread of its own.

    A probe that fails, is slow or dead delays no other, or not for long: one that only reads files and turns out to be
    slow gets a thread of its own. With `realtime` the threads that read files ask the kernel to be in time. What the
    threads read is made ticks of by whoever asks for those, or for how the beats fare. Ticks wait in memory until
    `take`, `queue_limit` of them at most, and of readings as many (by default what `QUEUE_BYTES` hold together). Once
    the host has `slept` nothing is read any more. `files` are the beats of the probes that read files alone.
    """

    def __init__(
        self,
        probes: Sequence[Paced],
        timebase: Timebase,
        queue_limit: int = 0,
        *,
        realtime: bool = False,
        slept: Callable[[], bool] = lambda: False,
    ) -> None:
        self.layouts = tuple(paced.layout for paced in probes)
        self._states = tuple(BeatState(paced.probe.name, paced.period_seconds) for paced in probes)
        self._readings: deque[Reading] = deque()
        self._ticks: list[Tick] = []
        self._judging = threading.Lock()
        self._tell: Callable[[int], object] = tell_nobody
        self._followed = False
        self._stopping = False
        widest = max((len(layout.channels) for layout in self.layouts), default=0)
        self._limit = queue_limit or QUEUE_BYTES // 2 // weight(widest)
        most_readings = queue_limit or QUEUE_BYTES // 2 // weight(_TIMES_CHANNELS * widest)
        shared: dict[tuple[int, int], list[Reader]] = {}
        self._beats: list[Beats] = []
        for paced, state in zip(probes, self._states, strict=True):
            reader = Reader(paced.layout, paced.probe, state, timebase, self._readings, most_readings)
            if paced.probe.files_only:
                shared.setdefault(paced.periods_ns, []).append(reader)
            else:
                self._beats.append(Beats((reader,), paced.periods_ns, slept=slept))
        enter = obtain if realtime else ordinary
        self.files = [Beats(readers, periods_ns, self._apart, enter, slept) for periods_ns, readers in shared.items()]
        self._beats += self.files

    @property
    def states(self) -> tuple[BeatState, ...]:
        """How the beat of every probe fares, after all that was read so far."""
        self.settle()
        return self._states

    @property
    def dropped(self) -> int:
        """How many readings and ticks were let go because nobody took them in time."""
        return sum(state.dropped for state in self._states)

    @property
    def waiting(self) -> int:
        """How many ticks wait to be taken."""
        self.settle()
        return len(self._ticks)

    @property
    def realtime(self) -> Realtime:
        """How the threads that read files are scheduled, which is the same for all; known once they have begun."""
        return self.files[0].realtime if self.files else NORMAL

    def start(self, after_beat: Callable[[int], object] | None = None) -> None:
        """Start every beat at once; `after_beat` is told, in the thread that reads, at what moment a beat has ended."""
        self._tell = after_beat or self._tell
        for beats in self._beats:
            beats.after = self._after_beat
            beats.start()

    def dense(self) -> None:
        """Read the probes that have a dense pace now, and go on at that pace."""
        for beats in self._beats:
            beats.pace(dense=True)

    def usual(self) -> None:
        """Read the probes that have a dense pace now, and go on at the usual pace."""
        for beats in self._beats:
            beats.pace(dense=False)

    def take(self) -> list[Tick]:
        """Return the ticks since the last call, each probe's in the order of its reads; to be called once a second.

        It is also when probes are noticed that wait behind one that hangs; they go on without it.
        """
        self._part()
        with self._judging:
            self._settle()
            ticks, self._ticks = self._ticks, []
        return ticks

    def stop(self, within_seconds: float = STOP_SECONDS) -> tuple[Probe, ...]:
        """Ask every beat to end and wait for them so long at most.

        Returns the probes that hang inside a driver: their threads are left behind, and closing them may hang too.
        """
        deadline = time.monotonic() + within_seconds
        self._stopping = True
        for beats in self._beats:
            beats.ask_to_stop()
        hanging = [beats.join(max(0.0, deadline - time.monotonic())) for beats in self._beats]
        return tuple(reader.probe for readers in hanging for reader in readers)

    def settle(self) -> None:
        """Make ticks of all that was read so far, which brings `states` up to date; any thread may call it."""
        with self._judging:
            self._settle()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Have the states follow every beat inside the block: who reads makes ticks of it at once.

        It is for those who wait for something to be read: they only have to look.
        """
        self._followed = True
        try:
            yield
        finally:
            self._followed = False

    def _after_beat(self, now_ns: int) -> None:
        if self._followed and self._judging.acquire(blocking=False):  # whoever has it is about to do the same
            try:
                self._settle()
            finally:
                self._judging.release()
        self._tell(now_ns)

    def _settle(self) -> None:
        by_reader: dict[Reader, list[Reading]] = {}
        for _ in range(len(self._readings)):
            reading = self._readings.popleft()
            by_reader.setdefault(reading.reader, []).append(reading)
        for reader, readings in by_reader.items():
            ticks = reader.judge(readings)
            room = self._limit - len(self._ticks)
            self._ticks += ticks[:room]
            reader.state.dropped += max(0, len(ticks) - room)

    def _part(self) -> None:
        now_ns = time.monotonic_ns()
        for beats in self._beats.copy():
            if parted := beats.part(now_ns):
                hanging, freed = parted
                log.warning("probe holds up others: they go on without it", probe=hanging.state.probe)
                self._add(freed)

    def _apart(self, slow: Beats) -> None:
        (reader,) = slow.readers
        log.warning("probe is slow: it gets a thread of its own", probe=reader.state.probe)
        self._add(slow)

    def _add(self, beats: Beats) -> None:
        self._beats.append(beats)
        if self._stopping:
            beats.ask_to_stop()
        beats.start()
