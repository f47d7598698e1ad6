"""The signals of the service: stop, reload, and the time that a stop may take."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.runtime.signals import SignalRequests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

STOP_SECONDS = 18.0
"""The steps of a stop share this time; systemd's TimeoutStopSec= is longer."""
MIN_STEP_SECONDS = 0.5
HARD_STOP_SECONDS = 27
"""A stop that takes longer hangs; shorter than TimeoutStopSec=, so that the service ends before systemd kills it."""


class ServiceSignals(SignalRequests):
    """The requests that signals made: SIGTERM and SIGINT to stop, SIGHUP to reload.

    A repeated signal has no effect: a stop ends by itself, and programs such as timeout(1) send theirs twice.
    """

    def __init__(self) -> None:
        super().__init__(even_ignored=True)
        self.reloading = False
        self._stop_by: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether a stop was requested."""
        return bool(self.number)

    def remaining_seconds(self, most_seconds: float) -> float:
        """Return the seconds that a step of a stop may take: `most_seconds`, or less if the stop must end sooner."""
        if self._stop_by is None:
            return most_seconds
        return min(most_seconds, max(MIN_STEP_SECONDS, self._stop_by - time.monotonic()))

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals inside the block, and restore their handlers at its end."""
        with super().caught():
            try:
                yield
            finally:
                signal.alarm(0)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reloading = True
            return
        if not self.number:
            self._stop_by = time.monotonic() + STOP_SECONDS
            signal.alarm(HARD_STOP_SECONDS)  # the kernel ends a stop that hangs, in a driver or on a disk
        super()._take(number, frame)
