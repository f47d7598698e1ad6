"""Takes the signals that ask a program to end, so that it keeps what is complete before it does."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, what timeout(1) and systemd send, and a terminal that was closed."""
_SIGNALLED = 128  # a shell's exit code is this plus the signal's number


@contextmanager
def ending_signals(take: Callable[[int], object]) -> Iterator[None]:
    """Hand every signal that asks for the end to `take` inside the block, and leave the signals as they were found.

    One that is ignored already (nohup, a shell's background job) stays so. Only for the main thread.
    """

    def taken(number: int, _frame: FrameType | None) -> None:
        take(number)

    wanted = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, taken) for number in wanted}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


class Interruption:
    """The first signal that asked for the end, whenever it came; `number` is 0 while none has.

    It interrupts only what stands in a `stoppable` block; what must not be torn apart stands outside of one. Any
    further signal changes nothing, as the end is on its way.
    """

    def __init__(self) -> None:
        self.number = 0
        self._stops = False

    @property
    def exit_code(self) -> int:
        """What a shell would say of a program that this signal ended: 130 for Ctrl-C; 0 if there was none."""
        return self.number and _SIGNALLED + self.number

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals inside the block."""
        with ending_signals(self._take):
            yield

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Raise KeyboardInterrupt inside the block when a signal comes, or at its start if one came before."""
        self._stops = True
        try:
            if self.number:
                raise KeyboardInterrupt
            yield
        finally:
            self._stops = False

    def _take(self, number: int) -> None:
        first = not self.number
        self.number = self.number or number
        if first and self._stops:
            raise KeyboardInterrupt
