"""Reads every probe on its beat and holds the ticks until they are taken."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.beat import BeatState, Reader
from agent.beats import Beats, ignore
from agent.log import get_logger
from agent.realtime import NORMAL, obtain, ordinary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    """A probe, its base period, and its period at the high rate, in seconds.

    The high rate is for the edges of a window. 0 means that the probe has none: it keeps to its base rate.
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


class Sampler:
    """Reads probes of the same beat that only read files in one thread, and any other in a thread of its own.

    A probe that fails, is slow or dead delays no other, or not for long: one that only reads files and turns out to be
    slow gets a thread of its own. With `realtime` the threads that read files ask the kernel to be in time. Ticks wait
    in memory until `take`, `queue_limit` of them at most (by default what `QUEUE_BYTES` hold). Once the host has
    `slept` nothing is read any more. `states` says how the beat of every probe fares. `files` are the beats of the
    probes that read files alone.
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
        self.states = tuple(BeatState(paced.probe.name, paced.period_seconds) for paced in probes)
        self._ticks: deque[Tick] = deque()
        self._after_beat: Callable[[int], object] = ignore
        self._stopping = False
        widest = max((len(layout.channels) for layout in self.layouts), default=0)
        limit = queue_limit or QUEUE_BYTES // weight(widest)
        shared: dict[tuple[int, int], list[Reader]] = {}
        self._beats: list[Beats] = []
        for paced, state in zip(probes, self.states, strict=True):
            reader = Reader(paced.layout, paced.probe, state, timebase, self._ticks, limit)
            if paced.probe.files_only:
                shared.setdefault(paced.periods_ns, []).append(reader)
            else:
                self._beats.append(Beats((reader,), paced.periods_ns, slept=slept))
        enter = obtain if realtime else ordinary
        self.files = [Beats(readers, periods_ns, self._apart, enter, slept) for periods_ns, readers in shared.items()]
        self._beats += self.files

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
        """How the threads that read files are scheduled, which is the same for all; known once they have begun."""
        return self.files[0].realtime if self.files else NORMAL

    def start(self, after_beat: Callable[[int], object] | None = None) -> None:
        """Start every beat at once; `after_beat` is told, in the thread that reads, at what moment a beat has ended."""
        self._after_beat = after_beat or self._after_beat
        for beats in self._beats:
            beats.after = self._after_beat
            beats.start()

    def high_rate_until(self, monotonic_ns: int) -> None:
        """Read the probes that have a high rate now, and on at that rate until a moment on CLOCK_MONOTONIC."""
        for beats in self._beats.copy():
            beats.high_rate_until(monotonic_ns)

    def take(self) -> list[Tick]:
        """Return the ticks since the last call, each probe's in the order of its reads; to be called once a second.

        It is also when probes are noticed that wait behind one that hangs; they go on without it.
        """
        self._part()
        return [self._ticks.popleft() for _ in range(len(self._ticks))]

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
