"""The one consumer of ticks: once a second it hands all that were read to whoever keeps them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from agent.beats import Alarm
from agent.log import get_logger
from agent.sampler import weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from store.records import Tick

BATCH_SECONDS = 1.0
KEEP_BYTES = 64 << 20
_MOST_TICKS, _TRIAL_TICKS = 10_000, 1_000
"""Ticks in one batch, and in one after a failure, where the next is likely to fail as well."""
_STOP_SECONDS = 12.0
"""Longer than the store waits for a lock."""

log = get_logger("recorder")


class Recorder:
    """Takes the ticks once in `batch_seconds` and hands them over, in one thread: no tick costs more than its read.

    `take` gives the ticks since its last call (the sampler's), `batch` (the store's) takes them. When `batch` raises,
    the error is handed to `on_error` and the ticks wait for the next try, `keep_bytes` of them at most; what has to be
    let go, the oldest first, is counted in `dropped`. Once a batch is taken again `on_recovery` is told. Neither of
    these two may raise. What is read while `batch` takes its time waits with whom it is taken from. `enter` is called
    in the thread first. `phase_seconds` puts the hand-overs so long after whole batches since the start, between the
    beats of who reads: at the same moment the two would wake each other up for every file that is read.
    """

    def __init__(
        self,
        take: Callable[[], Sequence[Tick]],
        batch: Callable[[Sequence[Tick]], None],
        on_error: Callable[[Exception], None] | None = None,
        on_recovery: Callable[[], None] | None = None,
        keep_bytes: int = KEEP_BYTES,
        batch_seconds: float = BATCH_SECONDS,
        enter: Callable[[], object] = lambda: None,
        phase_seconds: float = 0.0,
    ) -> None:
        self._take = take
        self._batch = batch
        self._on_error = on_error
        self._on_recovery = on_recovery
        self._keep_bytes = keep_bytes
        self._batch_seconds = batch_seconds
        self._enter = enter
        self._phase_seconds = phase_seconds
        self._waiting: deque[Tick] = deque()
        self._waiting_bytes = 0
        self._in_hand = 0
        self._ending = Alarm()
        self._ended = False
        self.taken = 0
        self.dropped = 0
        self.failed = False
        self._thread = threading.Thread(target=self._keep, name="recorder", daemon=True)

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
        return len(self._waiting) + self._in_hand

    def stop(self) -> None:
        """Take what is left, hand it over, and end. Call it after the sampler has stopped.

        Waits for a batch that is under way, but not for ever: see `waiting`.
        """
        self._ended = True
        self._ending.ring()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _keep(self) -> None:
        self._enter()
        ended = False
        due = time.monotonic() + self._phase_seconds
        while not ended:
            now = time.monotonic()
            due = max(due + self._batch_seconds, now)
            self._ending.wait(due - now)
            ended = self._ended
            try:
                self._collect()
                while self._waiting and self._hand_over():
                    pass  # what is read meanwhile waits for its second: a write for every few ticks would never end
            except Exception:  # the edge of a thread: whatever it is, samples are worth another try
                log.exception("recorder fault")

    def _collect(self) -> None:
        """Take the ticks there are; while they cannot be handed over, let the oldest go that are too many."""
        ticks = self._take()
        self._waiting.extend(ticks)
        self.taken += len(ticks)
        if self.failed:
            self._waiting_bytes += _bytes(ticks)
            self._let_go()

    def _hand_over(self) -> bool:
        waiting, most = self._waiting, _TRIAL_TICKS if self.failed else _MOST_TICKS
        self._in_hand = min(most, len(waiting))
        batch = [waiting.popleft() for _ in range(self._in_hand)]
        try:
            self._batch(batch)
        except Exception as error:  # noqa: BLE001  the edge of a thread: kept for the next try, told to the owner
            waiting.extendleft(reversed(batch))
            self._in_hand = 0
            self._waiting_bytes = _bytes(waiting)
            self._let_go()
            self.failed = True
            if self._on_error:
                self._on_error(error)
            return False
        self._in_hand = 0
        if self.failed and self._on_recovery:
            self._on_recovery()
        self.failed = False
        return True

    def _let_go(self) -> None:
        while self._waiting_bytes > self._keep_bytes and self._waiting:
            self._waiting_bytes -= weight(len(self._waiting.popleft().values))
            self.dropped += 1


def _bytes(ticks: Iterable[Tick]) -> int:
    return sum(weight(len(tick.values)) for tick in ticks)
