"""Wakes one thread when the beats of its probes are due, on absolute deadlines and at one of two rates."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from agent.realtime import NORMAL, ordinary
from probes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.beat import Reader
    from agent.realtime import Realtime

LATE_NS = 1_000_000
SLOW_NS = 50_000_000
SLOW_READS = 5
"""A probe that takes so long, or half a period, so often in a row, is parted from the others of its thread."""
STUCK_NS = 1_000_000_000
"""So is one whose read lasts longer than this and a period."""
_SHORT_SECONDS = 0.005


def ignore(_ended_ns: int) -> None:
    """Do nothing at the end of a beat."""


class Alarm:
    """Lets one thread wait, and another end its wait early; waits of up to 5 ms are not worth ending."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, seconds: float) -> None:
        """Return after so long, or soon after a `ring`."""
        if seconds > _SHORT_SECONDS:
            self._lock.acquire(timeout=seconds)
        else:
            time.sleep(max(0.0, seconds))  # a tenth cheaper, which tells at a thousand beats a second

    def ring(self) -> None:
        """End the wait that is on, or the next one."""
        try:
            self._lock.release()
        except RuntimeError:  # it was rung already
            return


class Beats:
    """The probes that share a thread, and the beat they share.

    The n-th beat is due at start + n periods, and has the time until the next: reads that take longer, or a host that
    is too busy, cost beats, which are counted, and no drift. `periods_ns` are the base period and the one of the high
    rate, which begins with a read at once and lasts until the moment that `high_rate_until` sets. `apart` takes a probe
    that is too slow for the others, in beats of its own that are not started yet. `enter` is called in the thread first
    and returns how it is scheduled; `began_ns` is when the first beat was due then. Once the host has `slept`, nothing
    is read any more, and every beat is a failure of all. `after` gets the moment, on CLOCK_MONOTONIC, at which the
    reads of a beat have ended.
    """

    def __init__(
        self,
        readers: Sequence[Reader],
        periods_ns: tuple[int, int],
        apart: Callable[[Beats], None] = lambda beats: beats.start(),
        enter: Callable[[], Realtime] = ordinary,
        slept: Callable[[], bool] = lambda: False,
        after: Callable[[int], object] = ignore,
        clock: Callable[[], int] = time.monotonic_ns,
        alarm: Alarm | None = None,
    ) -> None:
        self.readers = tuple(readers)
        self.periods_ns = periods_ns
        self._high_rate_until_ns = 0
        self.realtime = NORMAL
        self._apart = apart
        self._enter = enter
        self._slept = slept
        self.after = after
        self._clock = clock
        self._alarm = alarm or Alarm()
        self.began_ns = 0
        self._stopping = False
        self._slow = 0
        name = readers[0].state.probe if len(readers) == 1 else "files"
        self._thread = threading.Thread(target=self.run, name=f"beat-{name}", daemon=True)

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread.start()

    def high_rate_until(self, monotonic_ns: int) -> None:
        """Read at the high rate from now until a moment on CLOCK_MONOTONIC; a later moment prolongs it."""
        self._high_rate_until_ns = max(self._high_rate_until_ns, monotonic_ns)
        self._alarm.ring()

    @property
    def period_ns(self) -> int:
        """The period between reads now."""
        return self.periods_ns[self._clock() < self._high_rate_until_ns]

    def ask_to_stop(self) -> None:
        """Make no further read."""
        self._stopping = True
        self._alarm.ring()

    def join(self, seconds: float) -> tuple[Reader, ...]:
        """Wait so long for the thread to end; return the readers whose probe hangs then."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return tuple(reader for reader in self.readers if self._thread.is_alive() and reader.state.reading_since_ns)

    def run(self) -> None:
        """Read whenever a beat is due, until asked to stop or until there is nothing left to read."""
        self.realtime = self._enter()
        clock, wait = self._clock, self._alarm.wait
        base_ns, high_ns = self.periods_ns
        period_ns, due_ns = base_ns, clock()
        self.began_ns = due_ns
        while self.readers and not self._stopping:
            now_ns = clock()
            passed = max(0, (now_ns - due_ns) // period_ns)
            wanted_ns = high_ns if now_ns < self._high_rate_until_ns else base_ns
            if wanted_ns < period_ns:
                due_ns = now_ns
            elif now_ns < due_ns:
                wait((due_ns - now_ns) / 1e9)
                continue
            else:
                due_ns += passed * period_ns
            period_ns = wanted_ns
            if passed:
                for reader in self.readers:
                    reader.state.missed += passed
            self._read(due_ns + min(period_ns // 2, LATE_NS))
            due_ns += period_ns

    def part(self, now_ns: int) -> tuple[Reader, Beats] | None:
        """Return the reader that hangs, and beats, not started yet, of those that wait behind it; None if none does.

        Called by another thread; `now_ns` is CLOCK_MONOTONIC. The probe that hangs keeps this thread to itself.
        """
        readers = self.readers
        for reader in readers if len(readers) > 1 else ():
            since_ns = reader.state.reading_since_ns
            if since_ns and now_ns - since_ns > max(STUCK_NS, self.period_ns):
                self.readers = (reader,)
                if reader.state.reading_since_ns == since_ns:  # so this thread will see that the others are gone
                    others = tuple(other for other in readers if other is not reader)
                    return reader, self._with(others, self._enter)
                self.readers = readers
        return None

    def _with(self, readers: Sequence[Reader], enter: Callable[[], Realtime]) -> Beats:
        """Return beats of other readers at the same paces."""
        beats = Beats(readers, self.periods_ns, self._apart, enter, self._slept, self.after, self._clock)
        beats._high_rate_until_ns = self._high_rate_until_ns
        return beats

    def _read(self, late_from_ns: int) -> None:
        """Read every probe that is not lost, unless they are parted or it is to stop meanwhile."""
        readers, began_ns = self.readers, self._clock()
        lost = False
        for reader in readers:
            if reader.state.lost:
                lost = True
                continue
            if self._slept():
                reader.refuse(ReadError("the host slept; a new recording begins"))
            else:
                reader.read(late_from_ns)
            if self._stopping or self.readers is not readers:
                return
        if lost:
            self.readers = readers = tuple(reader for reader in readers if not reader.state.lost)
        ended_ns = self._clock()
        if len(readers) > 1:
            self._look_for_slow(ended_ns - began_ns)
        self.after(ended_ns)

    def _look_for_slow(self, took_ns: int) -> None:
        """Let go of a probe that took too long several times in a row."""
        limit_ns = min(SLOW_NS, self.periods_ns[0] // 2)
        if took_ns <= limit_ns:
            self._slow = 0
            return
        slowest = max(self.readers, key=lambda reader: reader.state.read_seconds)
        if slowest.state.read_seconds * 1e9 <= limit_ns:
            return
        self._slow += 1
        if self._slow >= SLOW_READS:
            self._slow = 0
            self.readers = tuple(reader for reader in self.readers if reader is not slowest)
            self._apart(self._with((slowest,), ordinary))
