"""Handles the signals that end a program, so that it can clean up and store complete results first.

`install_signal_handlers` runs first in every command: such a signal then prints one line and ends the process at once.
There is nothing to clean up yet, and an exception would become a traceback if Python cannot propagate it. Work that
needs a cleanup runs in a block: `interruptible`, `termination_signals` or `Interruption`.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the signal of timeout(1) and systemd, and the closing of the terminal."""
_SIGNAL_EXIT_OFFSET = 128  # a shell's exit code is this plus the signal's number

_MESSAGES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "ended with its terminal"}


class _Process:
    """The signals of this process: the number of `interruptible` blocks it is in, and the first signal received."""

    blocks = 0
    number = 0


def install_signal_handlers() -> None:
    """Make each termination signal print one line and exit with its code; signals that are ignored stay ignored."""
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
    """Return the last message of a command that a signal ends."""
    return _MESSAGES.get(signal.Signals(number), "ended by a signal")


def _terminate(number: int, _frame: FrameType | None) -> None:
    if _Process.blocks:
        _Process.number = _Process.number or number
        raise KeyboardInterrupt
    with suppress(OSError):
        os.write(2, f"{exit_message(number)}\n".encode())
    os._exit(_SIGNAL_EXIT_OFFSET + number)


def _redeliver(lost: sys.UnraisableHookArgs) -> None:
    """Raise an interruption again that Python could not propagate: it came in a finalizer or a callback."""
    if lost.exc_type is KeyboardInterrupt and _Process.number:
        signal.signal(signal.SIGALRM, _terminate_again)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(lost)


def _terminate_again(_number: int, frame: FrameType | None) -> None:
    _terminate(_Process.number, frame)


@contextmanager
def handled(actions: Mapping[signal.Signals, Callable[[int], object]]) -> Iterator[None]:
    """Call the action of each signal inside the block, and restore the handlers at its end; main thread only."""

    def act(number: int, _frame: FrameType | None) -> None:
        actions[signal.Signals(number)](number)

    before = {number: signal.signal(number, act) for number in actions}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@contextmanager
def termination_signals(take: Callable[[int], object]) -> Iterator[None]:
    """Pass every termination signal to `take` inside the block; main thread only.

    A signal that is ignored already (nohup, a shell's background job) stays ignored.
    """
    wanted = [number for number in TERMINATION_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with handled(dict.fromkeys(wanted, take)):
        yield


class Interruption:
    """The first termination signal; `number` is 0 before it.

    It interrupts `stoppable` blocks only; work that must be completed runs outside of them. Further signals have no
    effect.
    """

    def __init__(self) -> None:
        self.number = 0
        self._stops = False

    @property
    def exit_code(self) -> int:
        """The exit code that a shell reports for a program ended by this signal: 130 for Ctrl-C; 0 without one."""
        return self.number and _SIGNAL_EXIT_OFFSET + self.number

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals inside the block."""
        with termination_signals(self._take):
            yield

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Raise KeyboardInterrupt inside the block when a signal arrives, or at its start if one came before."""
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
