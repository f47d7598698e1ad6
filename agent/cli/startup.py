"""Prepares streams and signals before a command is imported, and ends the process with the exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from agent.runtime.signals import install_signal_handlers
from probes import at_exit

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
    install_signal_handlers()


def _end(run: Callable[[], int | None]) -> NoReturn:
    """Run a command and end the process at once: Python's shutdown may print during a signal, or wait for a thread."""
    try:
        code = run() or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    at_exit.close_all()
    os._exit(_flushed(code))


def _open_streams() -> None:
    """Replace closed standard streams by /dev/null, so that no file opened later becomes one of them."""
    for number, name in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # uses the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False, encoding="utf-8"))  # noqa: SIM115


def _flushed(code: int) -> int:
    """Flush the streams; return the exit code, or that of a failure if they cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 128 + signal.SIGPIPE
        except (OSError, ValueError):
            code = code or 1
    return code
