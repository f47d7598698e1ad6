"""Runs the command that is measured, with as little of our own as can be between its start, its end and the clock."""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.runtime.interrupts import Interruption, termination_signals
from agent.runtime.realtime import REALTIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CANNOT_EXECUTE, NOT_FOUND, SIGNALLED = 126, 127, 128
"""Exit codes as a shell has them; of a command that a signal ended, the last and the signal's number."""
_SLICE_SECONDS = 0.2
_OUTPUT, _ERRORS = 1, 2
_NONE = 0
_MANY_SIGNALS = 4096
_RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores, and that a command expects not to be ignored."""


class CommandError(Exception):
    """The command was not run: says why, and with which exit code to end."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of CLOCK_MONOTONIC in nanoseconds, and the exit code it ended with; `interrupted` if by a signal."""

    start_ns: int
    end_ns: int
    code: int
    interrupted: bool = False


def run(command: Sequence[str], ended: Callable[[], object], *, output_to_errors: bool) -> Span:
    """Run a command; its span is from just before it is started until it is known to have ended.

    `ended` is called at once then. Ctrl-C reaches the command from the terminal and is its to answer; what asks only
    this process to end is passed on. Raises CommandError if it cannot be run.
    """
    child = _NONE
    pending_signals: list[int] = []

    def pass_on(number: int) -> None:
        if child == _NONE:
            pending_signals.append(number)
        elif number != signal.SIGINT:
            os.kill(child, number)

    path = _path(command)
    # Not by subprocess: its work before and after the command would be measured as well, some milliseconds of it.
    actions = [(os.POSIX_SPAWN_DUP2, _ERRORS, _OUTPUT)] if output_to_errors else []
    with termination_signals(pass_on):
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
        _await_end(child)
        end_ns = time.monotonic_ns()
        ended()
        ended_child, child = child, _NONE
        _, status = os.waitpid(ended_child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Span(start_ns, end_ns, code if code >= 0 else SIGNALLED - code)


def _await_end(child: int) -> None:
    """Return when the command has ended; it keeps its number until no signal is passed on any more.

    Python answers a signal between two of its steps. One that comes just before a wait begins would not be answered
    until the wait is over, so it is told by a pipe, which ends the wait.
    """
    try:
        command = os.pidfd_open(child)
    except OSError:  # Linux before 5.3
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        waiting = select.poll()
        waiting.register(command, select.POLLIN)
        waiting.register(reader, select.POLLIN)
        while command not in {ready for ready, _ in waiting.poll()}:
            os.read(reader, _MANY_SIGNALS)
    finally:
        signal.set_wakeup_fd(before)
        for fd in (command, reader, writer):
            os.close(fd)


def sleep(
    seconds: float,
    ended: Callable[[], object],
    begin: Callable[[], object] = lambda: None,
    approach: Callable[[], object] = lambda: None,
) -> Span:
    """Let so much time pass, or less if a signal asks for the end; `ended` is called at once then.

    `begin` is called before the time begins, once a signal ends it early. `approach` is called before either end and
    may wait for the best moment; a signal is not kept waiting by it.
    """
    interruption = Interruption()
    with interruption.caught():
        begin()
        approach()
        start_ns = time.monotonic_ns()
        deadline = start_ns + round(seconds * 1e9)
        try:
            with interruption.stoppable():
                while (left_ns := deadline - time.monotonic_ns()) > 0:
                    # In slices: a signal that comes just before a sleep does not end it.
                    time.sleep(min(left_ns / 1e9, _SLICE_SECONDS))
                approach()
        except KeyboardInterrupt:
            pass
        end_ns = time.monotonic_ns()
        ended()
    return Span(start_ns, end_ns, interruption.exit_code, interrupted=bool(interruption.number))


def _path(command: Sequence[str]) -> str:
    name = command[0]
    if "/" in name:
        return name
    found = shutil.which(name)
    if found is None:
        raise CommandError(f"{name}: there is no such command on PATH", NOT_FOUND)
    return found


def _command_error(name: str, error: OSError | ValueError) -> CommandError:
    if isinstance(error, FileNotFoundError):
        if shutil.which(name):  # it is there, and what its first line names is not
            return CommandError(f"{name}: the interpreter that its first line names is not there", CANNOT_EXECUTE)
        return CommandError(f"{name}: there is no such file", NOT_FOUND)
    # A ValueError is about a NUL character; its own text differs between versions of Python.
    reason = error.strerror if isinstance(error, OSError) else "its name or an argument holds a NUL character"
    return CommandError(f"{name}: it cannot be executed ({reason})", CANNOT_EXECUTE)
