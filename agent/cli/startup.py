"""Puts streams and signals in order before a command is imported, and ends the process with its exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from agent.runtime import interrupts as interruption

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_STANDARD = ("stdin", "stdout", "stderr")


def command() -> None:
    """Run `inferometer` and end the process with its exit code."""
    _begin()
    from agent.cli.main import main as run

    _end(run)


def daemon() -> None:
    """Run `inferometerd` and end the process with its exit code."""
    _begin()
    from agent.daemon.entry import main as run

    _end(run)


def _begin() -> None:
    _open_streams()
    interruption.install_signal_handlers()


def _end(run: Callable[[], int | None]) -> NoReturn:
    """Run a command and end the process at once: Python's own ending may print in a signal, or wait for a thread."""
    try:
        code = run() or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    os._exit(_flushed(code))


def _open_streams() -> None:
    """Open /dev/null in place of standard streams that were closed: a file opened later must not become one of them."""
    for number, name in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False, encoding="utf-8"))  # noqa: SIM115


def _flushed(code: int) -> int:
    """Write what is buffered; return the exit code, that of a failure if it cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 128 + signal.SIGPIPE
        except (OSError, ValueError):
            code = code or 1
    return code
