"""Reads every probe on its beat and holds the ticks until they are taken."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.beat import BeatState, Reader
from agent.beats import Beats
from agent.log import get_logger
from agent.realtime import NORMAL, obtain, ordinary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.clock import Timebase
    from agent.realtime import Realtime
    from probes.model import Probe
    from store.records import Layout, Tick

QUEUE_BYTES = 64 << 20
"""Memory of the ticks that may wait to be taken before new ones are dropped and counted."""
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
    slow gets a thread of its own. With `realtime` the threads that read files ask the kernel to be in time. Ticks wait
    in memory until `take`, `queue_limit` of them at most (by default as many as `QUEUE_BYTES` hold).
    """

    def __init__(
        self, probes: Sequence[Paced], timebase: Timebase, queue_limit: int = 0, *, realtime: bool = False
    ) -> None:
        self.layouts = tuple(paced.layout for paced in probes)
        self.states = tuple(BeatState(paced.probe.name, paced.period_seconds) for paced in probes)
        self._queue: deque[Tick] = deque()
        self._stopping = False
        widest = max((len(layout.channels) for layout in self.layouts), default=0)
        limit = queue_limit or QUEUE_BYTES // weight(widest)
        shared: dict[tuple[int, int], list[Reader]] = {}
        self._beats: list[Beats] = []
        for paced, state in zip(probes, self.states, strict=True):
            reader = Reader(paced.layout, paced.probe, state, timebase, self._queue, limit)
            if paced.probe.files_only:
                shared.setdefault(paced.periods_ns, []).append(reader)
            else:
                self._beats.append(Beats((reader,), paced.periods_ns))
        enter = obtain if realtime else ordinary
        self._files = [Beats(readers, periods_ns, self._apart, enter) for periods_ns, readers in shared.items()]
        self._beats += self._files

    @property
    def dropped(self) -> int:
        """How many ticks were let go because nobody took them in time."""
        return sum(state.dropped for state in self.states)

    @property
    def waiting(self) -> int:
        """How many ticks wait to be taken."""
        return len(self._queue)

    @property
    def realtime(self) -> Realtime:
        """How the threads that read files are scheduled, which is the same for all; known once they have begun."""
        return self._files[0].realtime if self._files else NORMAL

    def start(self) -> None:
        """Start every beat at once."""
        for beats in self._beats:
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
        """Return the ticks since the last call, in the order in which they were read; to be called once a second.

        It is also when probes are noticed that wait behind one that hangs; they go on without it.
        """
        now_ns = time.monotonic_ns()
        for beats in self._beats.copy():
            if parted := beats.part(now_ns):
                hanging, freed = parted
                log.warning("probe holds up others: they go on without it", probe=hanging.state.probe)
                self._add(freed)
        return [self._queue.popleft() for _ in range(len(self._queue))]

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

    def _apart(self, slow: Beats) -> None:
        (reader,) = slow.readers
        log.warning("probe is slow: it gets a thread of its own", probe=reader.state.probe)
        self._add(slow)

    def _add(self, beats: Beats) -> None:
        self._beats.append(beats)
        if self._stopping:
            beats.ask_to_stop()
        beats.start()
