"""The only consumer of ticks: hands them to a sink once a second, after a sampling cycle."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from itertools import islice
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
"""The share of a batch's time that must have passed at the end of a cycle: one-second cycles are not that exact."""
LONGEST_SECONDS = 1.5
"""The time after which queued ticks are taken if no cycle ends, because all probes hang or the sampler stopped."""
RETRY_BYTES = 64 << 20
_MOST_TICKS, _RETRY_TICKS = 10_000, 1_000
"""The maximum number of ticks in a batch, and in a batch after a failure, as that is likely to fail again."""
_STOP_SECONDS = 12.0
"""Longer than the store waits for a lock."""

log = get_logger("recorder")


class Recorder:
    """Takes the ticks every `batch_seconds` and hands them to a sink, in one thread, so that sampling never waits.

    A batch starts at the end of a sampling cycle (`on_cycle`), while its memory is still in the CPU's caches, or after
    `longest_seconds` without one. `take` returns the ticks since its last call (`Sampler.take`), `batch` stores them.
    Ticks read during a slow batch stay queued in the sampler.

    If `batch` raises, `on_error` gets the error and the ticks wait for the next attempt, at most `retry_bytes` of them;
    the oldest beyond that are dropped and counted in `dropped`. `on_recovery` is called when a batch succeeds again.
    Neither callback may raise. `enter` runs first in the thread. `budget` is charged with the CPU time of the thread.
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
        self._wakeup = Wakeup()
        self._ended = False
        self.taken = 0
        self.dropped = 0
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """The number of ticks that were taken and not stored; those left after a stop are lost."""
        return len(self._waiting)

    @property
    def unstored(self) -> tuple[Tick, ...]:
        """The ticks that were taken and not stored, in their order."""
        while True:
            with suppress(RuntimeError):  # the thread of the recorder changed them meanwhile
                return tuple(self._waiting)

    def stop(self, within_seconds: float = _STOP_SECONDS) -> None:
        """Store the remaining ticks and end. Call it after the sampler has stopped.

        Waits at most `within_seconds` for the last batch; see `waiting`.
        """
        self._ended = True
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(within_seconds)

    def flush(self) -> None:
        """Start a batch now."""
        self._wakeup.set()

    def on_cycle(self, now_ns: int) -> None:
        """Start a batch if one is due, at the end of a cycle at `now_ns` on CLOCK_MONOTONIC; never blocks."""
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
                    pass  # ticks read meanwhile wait for the next batch: a write for every few ticks would never end
            except Exception:  # the top of a thread: after any error, the samples get another attempt
                log.exception("recorder fault")
            meter.charge()

    def _collect(self) -> None:
        """Take the queued ticks; while they cannot be stored, drop the oldest beyond the limit."""
        ticks = self._take()
        self._waiting.extend(ticks)
        self.taken += len(ticks)
        if self.error:
            self._waiting_bytes += _bytes(ticks)
            self._drop_oldest()

    def _hand_over(self) -> bool:
        waiting, most = self._waiting, _RETRY_TICKS if self.error else _MOST_TICKS
        batch = list(islice(waiting, most))
        try:
            self._batch(batch)
        except Exception as error:  # noqa: BLE001  the top of a thread: the error is reported and the batch is retried
            self._waiting_bytes = _bytes(waiting)
            self._drop_oldest()
            self.error = error
            if self._on_error:
                self._on_error(error)
            return False
        for _ in batch:
            waiting.popleft()
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
