"""The signals of the service: stop, reload, and the time that a stop may take."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from agent.runtime.interrupts import handled

if TYPE_CHECKING:
    from collections.abc import Iterator

STOP_SECONDS = 18.0
"""The steps of a stop share this time; systemd's TimeoutStopSec= is longer."""
MIN_STEP_SECONDS = 0.5
HARD_STOP_SECONDS = 27
"""A stop that takes longer hangs; shorter than TimeoutStopSec=, so that the service ends before systemd kills it."""


class ServiceSignals:
    """The requests that signals made: SIGTERM and SIGINT to stop, SIGHUP to reload.

    A repeated signal has no effect: a stop ends by itself, and programs such as timeout(1) send theirs twice.
    """

    def __init__(self) -> None:
        self._wakeups: SimpleQueue[int] = SimpleQueue()  # put() may interrupt get() in one thread; an Event deadlocks
        self.stopping = False
        self.reloading = False
        self._stop_by: float | None = None

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as a signal arrives or `wake` is called."""
        with suppress(Empty):
            self._wakeups.get(timeout=seconds)

    def remaining_seconds(self, most_seconds: float) -> float:
        """Return the seconds that a step of a stop may take: `most_seconds`, or less if the stop must end sooner."""
        if self._stop_by is None:
            return most_seconds
        return min(most_seconds, max(MIN_STEP_SECONDS, self._stop_by - time.monotonic()))

    def wake(self) -> None:
        """End a wait now; any thread may call this."""
        self._wakeups.put(0)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals inside the block, and restore their handlers at its end."""

        def stop(number: int) -> None:
            if not self.stopping:
                self._stop_by = time.monotonic() + STOP_SECONDS
                signal.alarm(HARD_STOP_SECONDS)  # the kernel ends a stop that hangs, in a driver or on a disk
            self.stopping = True
            self._wakeups.put(number)

        def reload(number: int) -> None:
            self.reloading = True
            self._wakeups.put(number)

        with handled({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}):
            try:
                yield
            finally:
                signal.alarm(0)
