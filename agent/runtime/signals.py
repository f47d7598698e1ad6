"""Handles the signals that end a program, so that it can clean up and store complete results first.

`install_signal_handlers` runs first in every command: such a signal then prints one line and ends the process at once,
apart from sessions on other machines (`probes.at_exit`). There is nothing else to clean up yet, and an exception would
become a traceback if Python cannot propagate it. A block that needs only a cleanup is `interruptible`. Work that
continues after a signal records it in a `SignalRequests`.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from agent.runtime.console import interruption
from probes import at_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the signal of timeout(1) and systemd, and the closing of the terminal."""
_SIGNAL_EXIT_OFFSET = 128  # a shell's exit code is this plus the signal's number

_LONGEST_WAIT_SECONDS = 1e6  # poll() takes at most 24 days
_PIPE_BYTES = 1 << 16

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


def exit_line(number: int) -> str:
    """Return the last line of a command that a signal ends."""
    message = _MESSAGES.get(signal.Signals(number), "ended by a signal")
    return interruption(message, _SIGNAL_EXIT_OFFSET + number)


def _terminate(number: int, _frame: FrameType | None) -> None:
    if _Process.blocks:
        _Process.number = _Process.number or number
        raise KeyboardInterrupt
    with suppress(OSError):
        os.write(2, f"{exit_line(number)}\n".encode())
    at_exit.close_all()
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


class SignalRequests:
    """The termination signals that arrive inside `caught`; `number` is the first of them, 0 before it.

    A signal calls `act`, ends a `wait` and interrupts a `stoppable` block; work that must be completed runs outside of
    such a block. Further signals call `act` and end waits only. A signal that is ignored already (nohup, a shell's
    background job) stays ignored, unless `even_ignored`.
    """

    def __init__(self, act: Callable[[int], object] = lambda _: None, *, even_ignored: bool = False) -> None:
        self.number = 0
        self._act = act
        self._even_ignored = even_ignored
        self._stops = False

    @property
    def exit_code(self) -> int:
        """The exit code that a shell reports for a program ended by this signal: 130 for Ctrl-C; 0 without one."""
        return self.number and _SIGNAL_EXIT_OFFSET + self.number

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals inside the block, and restore their handlers at its end; main thread only."""
        self.wait(0)  # drops earlier wakeups
        wanted = [n for n in TERMINATION_SIGNALS if self._even_ignored or signal.getsignal(n) is not signal.SIG_IGN]
        wakeup_before = signal.set_wakeup_fd(_wakeup_pipe()[1], warn_on_full_buffer=False)
        before = {number: signal.signal(number, self._take) for number in wanted}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)
            signal.set_wakeup_fd(wakeup_before)

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

    def wait(self, seconds: float | None = None, descriptor: int | None = None) -> bool:
        """Return whether `descriptor` is readable, as soon as it is, after `seconds`, at a signal or at a `wake`."""
        reader, _ = _wakeup_pipe()
        waiting = select.poll()
        for each in (reader, descriptor):
            if each is not None:
                waiting.register(each, select.POLLIN)
        ready = {each for each, _ in waiting.poll(seconds and min(seconds, _LONGEST_WAIT_SECONDS) * 1e3)}
        if reader in ready:
            os.read(reader, _PIPE_BYTES)
        return descriptor in ready

    def wake(self) -> None:
        """End a wait now; any thread may call this."""
        with suppress(BlockingIOError):  # a full pipe ends the wait as well
            os.write(_wakeup_pipe()[1], b"\0")

    def _take(self, number: int, _frame: FrameType | None) -> None:
        first, self.number = not self.number, self.number or number
        self._act(number)
        if first and self._stops:
            raise KeyboardInterrupt


@cache
def _wakeup_pipe() -> tuple[int, int]:
    """Return the pipe that ends waits; it stays open.

    Python runs a signal handler between two instructions, so a signal just before a wait would not end it. This pipe is
    written when the signal arrives.
    """
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
