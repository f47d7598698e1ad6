"""The one consumer of ticks: hands them to whoever keeps or shows them, in batches, once a second."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from store.records import Tick

BATCH_SECONDS = 1.0
_STOP = None


class Recorder:
    """Empties the sampler's queue in a thread of its own.

    `each` sees every tick at once (the exporter's latest values); `batch` takes what a second brought (the store).
    When `batch` raises, the error is handed to `on_error` and the ticks wait for the next try, `keep` of them at most;
    what has to be let go is counted in `dropped`.
    """

    def __init__(
        self,
        queue: SimpleQueue[Tick],
        batch: Callable[[Sequence[Tick]], None],
        each: Callable[[Tick], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        keep: int = 100_000,
    ) -> None:
        self._queue: SimpleQueue[Tick | None] = queue  # type: ignore[assignment]  # a None in it ends the thread
        self._batch = batch
        self._each = each
        self._on_error = on_error
        self._keep = keep
        self._waiting: list[Tick] = []
        self.dropped = 0
        self.failed = False
        self._thread = threading.Thread(target=self._consume, name="recorder", daemon=True)

    def start(self) -> None:
        """Start consuming."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still consumes."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Take what is still in the queue, hand it over, and end. Call it after the sampler has stopped."""
        if self._thread.is_alive():
            self._queue.put(_STOP)
            self._thread.join()

    def _consume(self) -> None:
        due = time.monotonic() + BATCH_SECONDS
        running = True
        while running:
            try:
                tick = self._queue.get(timeout=max(0.0, due - time.monotonic()))
            except Empty:
                tick = _STOP
            else:
                running = tick is not _STOP
            if tick is not None:
                self._waiting.append(tick)
                if self._each:
                    self._each(tick)
            if not running or time.monotonic() >= due:
                self._hand_over()
                due = max(due + BATCH_SECONDS, time.monotonic())

    def _hand_over(self) -> None:
        if not self._waiting:
            return
        try:
            self._batch(self._waiting)
        except Exception as error:  # noqa: BLE001  the edge of a thread: kept for the next try, told to the owner
            self.failed = True
            excess = len(self._waiting) - self._keep
            if excess > 0:
                del self._waiting[:excess]
                self.dropped += excess
            if self._on_error:
                self._on_error(error)
        else:
            self.failed = False
            self._waiting = []
