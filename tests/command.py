"""The command as its users have it: a process of its own, with a home that is the test's."""

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
from nobody import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
INFEROMETER = (sys.executable, "-m", "agent.cli.entry")
LONGEST_SECONDS = 60.0


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the variables of a user whose home is `home`, without any of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INFEROMETER_", "XDG_"))}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONPATH": str(ROOT), **more}


@contextmanager
def started(home: Path, *arguments: object, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a session of its own, where a test can press Ctrl-C (`os.killpg`); gone after the block."""
    given = {"env": environment(home), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    line = [*INFEROMETER, *map(str, arguments)]
    with subprocess.Popen(line, cwd=home, text=True, start_new_session=True, **given) as process:
        watchdog = Timer(LONGEST_SECONDS, _kill, [process])
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
    """Wait for the end of a command that was started."""
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def run(home: Path, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    with started(home, *arguments, **more) as process:
        return finish(process)


def call(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which is ten times faster; for what ends before anything is measured."""
    output, errors = StringIO(), StringIO()
    before, folder = dict(os.environ), Path.cwd()
    try:
        os.environ.clear()
        os.environ.update(environment(home))
        os.chdir(home)
        with redirect_stdout(output), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), output.getvalue(), errors.getvalue())


def read_until(stream: Any, words: str) -> str:
    """Read lines of a stream until one holds `words`; return them all."""
    lines = ""
    while words not in lines:
        line = stream.readline()
        assert line, f"it ended without {words!r}:\n{lines}"
        lines += line
    return lines


@contextmanager
def as_nobody(folder: Path) -> Iterator[dict[str, Any]]:
    """Give what a process takes (`**user`) to be a user for whom permissions hold; pytest's folders are opened to it.

    Root stops being root for it. Whoever is not root already is such a user. Skips the test where that user may not
    reach this Python.
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
