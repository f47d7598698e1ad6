"""The entry points: from the first line on a signal prints one line, however long the imports take."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the core of `signal`, which would import enum first
import os


def _end(number: int, _frame: object) -> None:
    os.write(2, b"interrupted\n" if number == _signal.SIGINT else b"terminated\n")
    os._exit(128 + number)


for _number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
    if _signal.getsignal(_number) != _signal.SIG_IGN:
        _signal.signal(_number, _end)


def main() -> None:
    """Run `inferometer` and end the process with its exit code."""
    from agent.cli.startup import command

    command()


def daemon() -> None:
    """Run `inferometerd` and end the process with its exit code."""
    from agent.cli.startup import daemon as run

    run()


if __name__ == "__main__":
    main()
