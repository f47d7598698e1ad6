"""Takes the signals that stop and reload the service, and gives them back as they were."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


STOP_SECONDS = 18.0
"""The steps of a stop share this time; systemd's TimeoutStopSec= is longer."""
MIN_STEP_SECONDS = 0.5
HARD_STOP_SECONDS = 27
"""A stop that takes longer than this hangs; below TimeoutStopSec=, so that the service ends before systemd kills it."""


class ServiceSignals:
    """What the signals asked for: SIGTERM and SIGINT to stop, SIGHUP to reload.

    One more of the same changes nothing: a stop ends by itself, and `timeout` and others send theirs twice.
    """

    def __init__(self) -> None:
        self._wakeups: SimpleQueue[int] = SimpleQueue()  # its put may interrupt its get; an Event would wait for itself
        self.stopping = False
        self.reloading = False
        self._stop_by: float | None = None

    def wait(self, seconds: float) -> None:
        """Return when a signal came, `wake` was called or the time is over."""
        with suppress(Empty):
            self._wakeups.get(timeout=seconds)

    def remaining_seconds(self, most_seconds: float) -> float:
        """Return the seconds that a step of a stop may take: `most_seconds`, or less if the stop must end sooner."""
        if self._stop_by is None:
            return most_seconds
        return min(most_seconds, max(MIN_STEP_SECONDS, self._stop_by - time.monotonic()))

    def wake(self) -> None:
        """Let a wait return now; any thread may call it."""
        self._wakeups.put(0)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals inside the block and give them back as they were."""

        def stop(number: int, _frame: FrameType | None) -> None:
            if not self.stopping:
                self._stop_by = time.monotonic() + STOP_SECONDS
                signal.alarm(HARD_STOP_SECONDS)  # the kernel ends a stop that hangs, in a driver or on a disk
            self.stopping = True
            self._wakeups.put(number)

        def reload(number: int, _frame: FrameType | None) -> None:
            self.reloading = True
            self._wakeups.put(number)

        wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = {number: signal.signal(number, action) for number, action in wanted.items()}
        try:
            yield
        finally:
            signal.alarm(0)
            for number, action in before.items():
                signal.signal(number, action)
