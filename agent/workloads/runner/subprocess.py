"""Runs a measured command, with as little work as possible between its start, its end and the clock."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.runtime.realtime import REALTIME_LIMIT
from agent.runtime.signals import SignalRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CANNOT_EXECUTE, NOT_FOUND, SIGNALLED = 126, 127, 128
"""Exit codes of a shell; a command that a signal ended has SIGNALLED plus the number of the signal."""
_OUTPUT, _ERRORS = 1, 2
_NONE = 0
_RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores; a command needs their default action."""


class CommandError(Exception):
    """The command cannot run; `code` is the exit code for it."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Span:
    """A time on CLOCK_MONOTONIC in nanoseconds, and the exit code; `interrupted` if a signal ended it."""

    start_ns: int
    end_ns: int
    code: int
    interrupted: bool = False


def run(command: Sequence[str], ended: Callable[[], object], *, output_to_errors: bool) -> Span:
    """Run a command, and return the time from just before its start to its end.

    `ended` is called at once after the end. Ctrl-C reaches the command from the terminal directly; other signals to
    this process are passed on. Raises CommandError if it cannot run.
    """
    child = _NONE
    pending_signals: list[int] = []

    def pass_on(number: int) -> None:
        if child == _NONE:
            pending_signals.append(number)
        elif number != signal.SIGINT:
            os.kill(child, number)

    path = _path(command)
    # Without the subprocess module: its milliseconds of work around the command would be measured as well.
    actions = [(os.POSIX_SPAWN_DUP2, _ERRORS, _OUTPUT)] if output_to_errors else []
    signals = SignalRequests(pass_on)
    with signals.caught():
        try:
            with REALTIME_LIMIT.lifted():
                start_ns = time.monotonic_ns()
                child = os.posix_spawn(
                    path, list(command), os.environ, file_actions=actions, setsigdef=_RESTORED_SIGNALS
                )
        except (OSError, ValueError) as error:
            raise _command_error(command[0], error) from error
        for number in pending_signals:
            os.kill(child, number)
        _await_end(child, signals)
        end_ns = time.monotonic_ns()
        ended()
        ended_child, child = child, _NONE
        _, status = os.waitpid(ended_child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Span(start_ns, end_ns, code if code >= 0 else SIGNALLED - code)


def _await_end(child: int, signals: SignalRequests) -> None:
    """Wait for the end of the command without reaping it: its process id stays reserved while signals are passed on."""
    try:
        command = os.pidfd_open(child)
    except OSError:  # Linux before 5.3
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return
    try:
        while not signals.wait(descriptor=command):
            pass  # a signal was passed on
    finally:
        os.close(command)


def sleep(
    seconds: float,
    ended: Callable[[], object],
    begin: Callable[[], object] = lambda: None,
    approach: Callable[[], object] = lambda: None,
) -> Span:
    """Sleep for `seconds`, or until a signal; `ended` is called at once afterwards.

    `begin` is called before the start, when a signal can already end the sleep. `approach` is called before both edges
    and may wait for the best moment; after a signal it is not called again.
    """
    signals = SignalRequests()
    with signals.caught():
        begin()
        approach()
        start_ns = time.monotonic_ns()
        deadline = start_ns + round(seconds * 1e9)
        while not signals.number and (left_ns := deadline - time.monotonic_ns()) > 0:
            signals.wait(left_ns / 1e9)
        if not signals.number:
            approach()
        end_ns = time.monotonic_ns()
        ended()
    return Span(start_ns, end_ns, signals.exit_code, interrupted=bool(signals.number))


def _path(command: Sequence[str]) -> str:
    name = command[0]
    if "/" in name:
        return name
    found = shutil.which(name)
    if found is None:
        raise CommandError(f"{name}: command not found on PATH", NOT_FOUND)
    return found


def _command_error(name: str, error: OSError | ValueError) -> CommandError:
    if isinstance(error, FileNotFoundError):
        if shutil.which(name):  # the file exists, and its interpreter does not
            return CommandError(f"{name}: the interpreter in its first line does not exist", CANNOT_EXECUTE)
        return CommandError(f"{name}: no such file", NOT_FOUND)
    # A ValueError means a NUL character; its text differs between versions of Python.
    reason = error.strerror if isinstance(error, OSError) else "its name or an argument contains a NUL character"
    return CommandError(f"{name}: it cannot be executed ({reason})", CANNOT_EXECUTE)
