"""Takes the signals that stop and reload the service, and gives them back as they were."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Signals:
    """What the signals asked for: SIGTERM and SIGINT to stop, SIGHUP to reload.

    One more of the same changes nothing: a stop ends by itself, and `timeout` and others send theirs twice.
    """

    def __init__(self) -> None:
        self._woken: SimpleQueue[int] = SimpleQueue()  # its put may interrupt its get; an Event would wait for itself
        self.stopping = False
        self.reloading = False

    def wait(self, seconds: float) -> None:
        """Return when a signal came, `wake` was called or the time is over."""
        with suppress(Empty):
            self._woken.get(timeout=seconds)

    def wake(self) -> None:
        """Let a wait return now; any thread may call it."""
        self._woken.put(0)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals inside the block and give them back as they were."""

        def stop(number: int, _frame: FrameType | None) -> None:
            self.stopping = True
            self._woken.put(number)

        def reload(number: int, _frame: FrameType | None) -> None:
            self.reloading = True
            self._woken.put(number)

        wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = {number: signal.signal(number, action) for number, action in wanted.items()}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)
