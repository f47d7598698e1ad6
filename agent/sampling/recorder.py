"""The one consumer of ticks: once a second, after a beat, it hands all that were read to whoever keeps them."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from agent.runtime.cpu_budget import UNLIMITED, CpuBudget
from agent.runtime.logs import get_logger
from agent.sampling.sampler import tick_bytes
from agent.sampling.thread import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from store.records import Tick

BATCH_SECONDS = 1.0
_BATCH_TOLERANCE = 0.95
"""What share of a batch's time must have passed at the end of a beat: beats of one second are not that exact."""
LONGEST_SECONDS = 1.5
"""Where no beat ends, because all hang or were stopped, what was read before is taken after this time."""
RETRY_BYTES = 64 << 20
_MOST_TICKS, _RETRY_TICKS = 10_000, 1_000
"""Ticks in one batch, and in one after a failure, where the next is likely to fail as well."""
_STOP_SECONDS = 12.0
"""Longer than the store waits for a lock."""

log = get_logger("recorder")


class Recorder:
    """Takes the ticks once in `batch_seconds` and hands them over, in one thread: no tick costs more than its read.

    It does so when a beat has ended, of which `on_cycle` is to be told, while what the processor needs for it is still
    near, and without a beat after `longest_seconds`. `take` gives the ticks since its last call (the sampler's),
    `batch` (the store's) takes them. When `batch` raises, the error is handed to `on_error` and the ticks wait for the
    next try, `retry_bytes` of them at most; what has to be let go, the oldest first, is counted in `dropped`. Once a
    batch is taken again `on_recovery` is told. Neither of these two may raise. What is read while `batch` takes its
    time waits with whom it is taken from. `enter` is called in the thread first. `budget` is charged with the
    processor time that all of this takes.
    """

    def __init__(
        self,
        take: Callable[[], Sequence[Tick]],
        batch: Callable[[Sequence[Tick]], None],
        on_error: Callable[[Exception], None] | None = None,
        on_recovery: Callable[[], None] | None = None,
        retry_bytes: int = RETRY_BYTES,
        batch_seconds: float = BATCH_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        enter: Callable[[], object] = lambda: None,
        budget: CpuBudget | None = None,
    ) -> None:
        self._take = take
        self._batch = batch
        self._on_error = on_error
        self._on_recovery = on_recovery
        self._retry_bytes = retry_bytes
        self._batch_ns = round(batch_seconds * _BATCH_TOLERANCE * 1e9)
        self._longest_seconds = longest_seconds
        self._enter = enter
        self._budget = budget or CpuBudget(UNLIMITED)
        self._due_ns = 0
        self._waiting: deque[Tick] = deque()
        self._waiting_bytes = 0
        self._in_flight = 0
        self._wakeup = Wakeup()
        self._ended = False
        self.taken = 0
        self.dropped = 0
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start taking."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still takes and hands over."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many ticks were taken and not handed over; what a stop leaves here is lost."""
        return len(self._waiting) + self._in_flight

    def stop(self, within_seconds: float = _STOP_SECONDS) -> None:
        """Take what is left, hand it over, and end. Call it after the sampler has stopped.

        Waits for a batch that is under way, but not for ever: see `waiting`.
        """
        self._ended = True
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(within_seconds)

    def flush(self) -> None:
        """Take and hand over now."""
        self._wakeup.set()

    def on_cycle(self, now_ns: int) -> None:
        """Be told that a beat has ended, at `now_ns` on CLOCK_MONOTONIC; returns at once, in any thread."""
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + self._batch_ns
            self._wakeup.set()

    def _run(self) -> None:
        self._enter()
        meter = self._budget.meter()
        ended = False
        while not ended:
            self._wakeup.wait(self._longest_seconds)
            ended = self._ended
            try:
                self._collect()
                while self._waiting and self._hand_over():
                    pass  # what is read meanwhile waits for its second: a write for every few ticks would never end
            except Exception:  # the edge of a thread: whatever it is, samples are worth another try
                log.exception("recorder fault")
            meter.charge()

    def _collect(self) -> None:
        """Take the ticks there are; while they cannot be handed over, let the oldest go that are too many."""
        ticks = self._take()
        self._waiting.extend(ticks)
        self.taken += len(ticks)
        if self.error:
            self._waiting_bytes += _bytes(ticks)
            self._drop_oldest()

    def _hand_over(self) -> bool:
        waiting, most = self._waiting, _RETRY_TICKS if self.error else _MOST_TICKS
        self._in_flight = min(most, len(waiting))
        batch = [waiting.popleft() for _ in range(self._in_flight)]
        try:
            self._batch(batch)
        except Exception as error:  # noqa: BLE001  the edge of a thread: kept for the next try, told to the owner
            waiting.extendleft(reversed(batch))
            self._in_flight = 0
            self._waiting_bytes = _bytes(waiting)
            self._drop_oldest()
            self.error = error
            if self._on_error:
                self._on_error(error)
            return False
        self._in_flight = 0
        if self.error and self._on_recovery:
            self._on_recovery()
        self.error = None
        return True

    def _drop_oldest(self) -> None:
        while self._waiting_bytes > self._retry_bytes and self._waiting:
            self._waiting_bytes -= tick_bytes(len(self._waiting.popleft().values))
            self.dropped += 1


def _bytes(ticks: Iterable[Tick]) -> int:
    return sum(tick_bytes(len(tick.values)) for tick in ticks)
