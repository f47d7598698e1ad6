"""The one consumer of ticks: hands each to whoever shows them, and once a second all to whoever keeps them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from agent.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from queue import SimpleQueue

    from store.records import Tick

BATCH_SECONDS = 1.0
KEEP_BYTES = 64 << 20
_MOST_TICKS, _TRIAL_TICKS = 10_000, 1_000
"""Ticks in one batch, and in one after a failure, where the next is likely to fail as well."""
_STOP_SECONDS = 12.0
"""Longer than the store waits for a lock."""
_STOP = None

log = get_logger("recorder")


class Recorder:
    """Empties the sampler's queue in one thread and hands batches over in another: a slow store holds up no one.

    `each` (the exporter) sees every tick at once; `batch` (the store) takes what `batch_seconds` brought. When
    `batch` raises, the error is handed to `on_error` and the ticks wait for the next try, `keep_bytes` of them at most;
    what has to be let go, the oldest first, is counted in `dropped`. Once a batch is taken again `on_recovery` is told.
    Neither of these two may raise.
    """

    def __init__(
        self,
        queue: SimpleQueue[Tick],
        batch: Callable[[Sequence[Tick]], None],
        each: Callable[[Tick], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        on_recovery: Callable[[], None] | None = None,
        keep_bytes: int = KEEP_BYTES,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        self._queue: SimpleQueue[Tick | None] = queue  # type: ignore[assignment]  # a None in it ends the thread
        self._batch = batch
        self._each = each
        self._on_error = on_error
        self._on_recovery = on_recovery
        self._keep_bytes = keep_bytes
        self._batch_seconds = batch_seconds
        self._waiting: deque[Tick] = deque()
        self._waiting_bytes = 0
        self._in_hand = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._shown = True
        self.taken = 0
        self.dropped = 0
        self.failed = False
        self._threads = (
            threading.Thread(target=self._consume, name="recorder", daemon=True),
            threading.Thread(target=self._keep, name="keeper", daemon=True),
        )

    def start(self) -> None:
        """Start consuming."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still consumes and hands over."""
        return all(thread.is_alive() for thread in self._threads)

    @property
    def waiting(self) -> int:
        """How many ticks were taken from the queue and by nobody after that; what a stop leaves here is lost."""
        return len(self._waiting) + self._in_hand

    def stop(self) -> None:
        """Take what is still in the queue, hand it over, and end. Call it after the sampler has stopped.

        Waits for a batch that is under way, but not for ever: see `waiting`.
        """
        if self._threads[0].is_alive():
            self._queue.put(_STOP)
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _consume(self) -> None:
        while (tick := self._queue.get()) is not None:
            with self._lock:
                self._waiting.append(tick)
                self._waiting_bytes += _weight(tick)
                self._let_go()
            self._show(tick)
            self.taken += 1
        self._ended.set()

    def _show(self, tick: Tick) -> None:
        if self._each is None:
            return
        try:
            self._each(tick)
            self._shown = True
        except Exception:  # the edge of a thread: the next tick may be shown, and all are still kept
            if self._shown:
                log.exception("tick not shown", layout=tick.layout)
            self._shown = False

    def _keep(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(self._batch_seconds)
            while batch := self._take():
                if not self._hand_over(batch):
                    break

    def _take(self) -> list[Tick]:
        most = _TRIAL_TICKS if self.failed else _MOST_TICKS
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._in_hand = len(batch)
        return batch

    def _hand_over(self, batch: list[Tick]) -> bool:
        try:
            self._batch(batch)
        except Exception as error:  # noqa: BLE001  the edge of a thread: kept for the next try, told to the owner
            with self._lock:
                self._waiting.extendleft(reversed(batch))
                self._in_hand = 0
                self._let_go()
            self.failed = True
            if self._on_error:
                self._on_error(error)
            return False
        with self._lock:
            self._waiting_bytes -= sum(map(_weight, batch))
            self._in_hand = 0
        if self.failed and self._on_recovery:
            self._on_recovery()
        self.failed = False
        return True

    def _let_go(self) -> None:
        while self._waiting_bytes > self._keep_bytes and self._waiting:
            self._waiting_bytes -= _weight(self._waiting.popleft())
            self.dropped += 1


def _weight(tick: Tick) -> int:
    """Return about how many bytes of memory a tick takes: its own objects, and a float and a reference a value."""
    return 250 + 32 * len(tick.values)
