"""The first lines of every command: streams and signals are in order before anything slow is imported."""

from __future__ import annotations

import os
import signal
import sys

from agent import interruption

_STANDARD = ("stdin", "stdout", "stderr")


def main() -> None:
    """Run `inferometer` and end the process with its exit code."""
    _open_streams()
    interruption.take_signals()
    from agent.cli.main import main as run  # noqa: PLC0415  slow, and a signal may come meanwhile

    code = 1
    try:
        run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    os._exit(_flushed(code))  # Python's own ending would let a signal or a hanging thread print or wait


def daemon() -> None:
    """Run `inferometerd` and end the process with its exit code."""
    _open_streams()
    interruption.take_signals()
    from agent.cli.serving import main as run  # noqa: PLC0415  slow, and a signal may come meanwhile

    sys.exit(run())


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


if __name__ == "__main__":
    main()
