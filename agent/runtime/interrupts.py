"""Takes the signals that ask a program to end, so that it keeps what is complete before it does.

From the first line of a command on (`install_signal_handlers`) such a signal prints one line and ends the process at
once: nothing has to be put in order, and an exception would become a traceback wherever Python cannot hand it on. Work
that has to be put in order stands in a block: `interruptible`, `termination_signals` or `Interruption`.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, what timeout(1) and systemd send, and a terminal that was closed."""
_SIGNAL_EXIT_OFFSET = 128  # a shell's exit code is this plus the signal's number

_MESSAGES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "ended with its terminal"}


class _Process:
    """The state of the signals of this process: how many blocks must be left in order, and which signal came first."""

    blocks = 0
    number = 0


def install_signal_handlers() -> None:
    """Answer every ending signal with one line and the exit code for it; those that are ignored already stay so."""
    for number in TERMINATION_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminate)
    sys.unraisablehook = _redeliver


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt inside the block when a signal comes, so that its `finally` clauses run."""
    _Process.blocks += 1
    try:
        yield
    finally:
        _Process.blocks -= 1


def received_signal() -> int:
    """Return the signal that interrupted an `interruptible` block, 0 if none did."""
    return _Process.number


def exit_message(number: int) -> str:
    """Return what a command says last when a signal ends it."""
    return _MESSAGES.get(signal.Signals(number), "ended by a signal")


def _terminate(number: int, _frame: FrameType | None) -> None:
    if _Process.blocks:
        _Process.number = _Process.number or number
        raise KeyboardInterrupt
    with suppress(OSError):
        os.write(2, f"{exit_message(number)}\n".encode())
    os._exit(_SIGNAL_EXIT_OFFSET + number)


def _redeliver(lost: sys.UnraisableHookArgs) -> None:
    """Deliver an interruption again that came where Python hands nothing on: in a finalizer or a callback."""
    if lost.exc_type is KeyboardInterrupt and _Process.number:
        signal.signal(signal.SIGALRM, _terminate_again)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(lost)


def _terminate_again(_number: int, frame: FrameType | None) -> None:
    _terminate(_Process.number, frame)


@contextmanager
def termination_signals(take: Callable[[int], object]) -> Iterator[None]:
    """Hand every signal that asks for the end to `take` inside the block, and leave the signals as they were found.

    One that is ignored already (nohup, a shell's background job) stays so. Only for the main thread.
    """

    def taken(number: int, _frame: FrameType | None) -> None:
        take(number)

    wanted = [number for number in TERMINATION_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
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
        return self.number and _SIGNAL_EXIT_OFFSET + self.number

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals inside the block."""
        with termination_signals(self._take):
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
