"""Runs the command in a process or in this one, with a home of the test."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import pytest

from agent.cli.main import main
from fork_server import start
from nobody import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
INFEROMETER = (sys.executable, "-m", "agent.cli.entry")
LONGEST_SECONDS = 300.0
"""The time after which a command hangs: a run takes some seconds, on a busy test host ten times as long."""


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user with the home `home`, without variables of Inferometer."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INFEROMETER_", "XDG_"))}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONPATH": str(ROOT), **more}


@contextmanager
def started(
    home: Path, *arguments: object, longest_seconds: float = LONGEST_SECONDS, **more: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a new session, to which a test can send Ctrl-C (`os.killpg`); kill it after the block.

    Most commands start in a fork of a process that has imported the program; with `fresh=True` in a new Python.
    """
    given = {"env": environment(home), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    line = [*INFEROMETER, *map(str, arguments)]
    with start(line, cwd=home, text=True, **given) as process:
        watchdog = Timer(longest_seconds, _kill, [process])
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            if process.returncode is None:
                _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait until a started command ends; return its result."""
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def run(home: Path, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command and return its result."""
    with started(home, *arguments, **more) as process:
        return finish(process)


def call(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command that measures nothing in this process, which is ten times faster.

    It finds no NVIDIA driver by itself: other tests of this process have loaded a fake one.
    """
    output, errors = StringIO(), StringIO()
    before, folder = dict(os.environ), Path.cwd()
    try:
        os.environ.clear()
        os.environ.update({"INFEROMETER_PATH_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", **environment(home)})
        os.chdir(home)
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), output.getvalue(), errors.getvalue())


def read_until(stream: Any, words: str) -> str:
    """Read lines of a stream until one contains `words`; return them all."""
    lines = ""
    while words not in lines:
        line = stream.readline()
        assert line, f"it ended without {words!r}:\n{lines}"
        lines += line
    return lines


@contextmanager
def as_nobody(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield arguments of a process (`**user`) that runs it without root's privileges, with access to pytest's folders.

    A user other than root needs no arguments. The test is skipped if that user cannot run this Python.
    """
    user = nobody()
    above = Path(tempfile.gettempdir())
    places = {
        place: stat.S_IMODE(place.stat().st_mode) for place in (folder, *folder.parents) if above in place.parents
    }
    try:
        for place, mode in places.items():
            place.chmod(mode | stat.S_IXOTH | stat.S_IROTH)
        yield user
    finally:
        for place, mode in places.items():
            place.chmod(mode)
