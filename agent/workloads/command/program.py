"""One run of a program: its start, the lines of its output with their times, its end, and the end of all it started."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Self

from agent.runtime.console import print_err, printable_line
from agent.workloads.errors import LostPointError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence
    from types import TracebackType

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_READ_BYTES = 1 << 16
_LONGEST_LINE = 1 << 16
_MOST_READS = 64
"""The reads of the output after the end of a program; what it left running may write on."""
_TAIL_LINES, _TAIL_CHARACTERS = 8, 2000
_GRACE_SECONDS = 3.0
_POLL_SECONDS = 0.005


def adopt_orphans() -> None:
    """Become the parent of the processes whose parents end, so that `Program` can end them (PR_SET_CHILD_SUBREAPER)."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) was refused")


class Program:
    """A program that runs inside a `with` block; after the block every process that it started has ended.

    `start_ns` is the time just before its start and `end_ns` that of its end, on CLOCK_MONOTONIC; None before. `each`
    gets every line of its output, standard output and error output in the order of arrival. This process must have no
    other children.
    """

    def __init__(self, command: Sequence[str], each: Callable[[str], object], *, show: bool = False) -> None:
        self._command, self._each, self._show = command, each, show
        self._name = printable_line(PurePath(command[0]).name)
        self._lines: deque[tuple[int, str]] = deque()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._rest = b""
        self._stopped = False
        self.start_ns = 0
        self.end_ns: int | None = None

    def __enter__(self) -> Self:
        self._output, output = os.pipe()
        try:
            self.start_ns = time.monotonic_ns()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  this process has no threads
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            os.close(self._output)
            reason = error.strerror if isinstance(error, OSError) else "a word of it contains a NUL character"
            remedy = "give a program, and its arguments as separate words; it runs without a shell"
            raise LostPointError(f"{self._name} cannot be started ({reason})", remedy) from error
        finally:
            os.close(output)
        os.set_blocking(self._output, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self._ending: int | None = None
        with suppress(OSError):  # Linux before 5.3
            self._ending = os.pidfd_open(self._process.pid)
            self._selector.register(self._ending, selectors.EVENT_READ)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        end_children()
        self._selector.close()
        os.close(self._output)
        if self._ending is not None:
            os.close(self._ending)

    def wait_for(self, pattern: re.Pattern[str]) -> int | None:
        """Return the time at which a line arrived that matches, None if the program ended before."""
        return self._wait(pattern, None)

    def wait_until_end(self, seconds: float | None = None) -> int | None:
        """Return the time at which the program ended, None if it runs after `seconds`."""
        self._wait(None, None if seconds is None else time.monotonic() + seconds)
        return self.end_ns

    def stop(self) -> None:
        """Wait for the end of the program for three seconds, then end it with SIGTERM, and the block with SIGKILL."""
        if self.wait_until_end(_GRACE_SECONDS) is None:
            self._stopped = True
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self.wait_until_end(_GRACE_SECONDS)

    def check(self) -> None:
        """Raise LostPointError, with the end of the output, if the ended program failed."""
        code = self._process.returncode
        if code and not self._stopped:
            how = f"ended with exit status {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
            remedy = "correct the command, or accept every exit status with --ignore-failure"
            raise LostPointError(f"{self._name} {how}", remedy, self.tail())

    def tail(self) -> str:
        """Return the last lines of the output, for a message."""
        text = "\n".join(self._tail)[-_TAIL_CHARACTERS:]
        return f"the end of its output:\n{text}\n" if text else "it printed nothing"

    def _wait(self, pattern: re.Pattern[str] | None, deadline: float | None) -> int | None:
        """Pass on lines until one matches, the program ends or the deadline passes; return the time of the match."""
        while True:
            while self._lines:
                at_ns, line = self._lines.popleft()
                self._each(line)
                if self._show:
                    print_err(line)
                if pattern is not None and pattern.search(line):
                    return at_ns
            if self.end_ns is not None or (deadline is not None and time.monotonic() >= deadline):
                return None
            self._take(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _take(self, seconds: float | None) -> None:
        """Wait for output or the end of the program, and take the lines that have arrived."""
        ready = self._selector.select(_POLL_SECONDS if self._ending is None else seconds)
        at_ns = time.monotonic_ns()
        if any(key.fd == self._output for key, _ in ready) and not self._read(at_ns):
            self._selector.unregister(self._output)
        if self._has_ended():
            self.end_ns = at_ns if any(key.fd == self._ending for key, _ in ready) else time.monotonic_ns()
            for _ in range(_MOST_READS):
                if not self._read(at_ns):
                    break
            self._split(at_ns, last=True)

    def _has_ended(self) -> bool:
        """Return whether the program has ended; it is not reaped, so its process id stays reserved."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _read(self, at_ns: int) -> bool:
        """Take one read of the output; return False if there is none."""
        try:
            read = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return False
        self._rest += read
        self._split(at_ns, last=len(self._rest) > _LONGEST_LINE)
        return bool(read)

    def _split(self, at_ns: int, *, last: bool) -> None:
        """Take whole lines of the output, which end with a line feed or a carriage return; the last one may lack it."""
        *lines, rest = self._rest.replace(b"\r", b"\n").split(b"\n")
        self._rest = b"" if last else rest
        for line in (*lines, rest) if last else lines:
            if line:
                text = line.decode(errors="replace")
                self._lines.append((at_ns, text))
                self._tail.append(printable_line(text))


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the workload process ignores it


def end_children() -> None:
    """Kill and reap every child of this process, among them the orphans it has adopted, for three seconds at most."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while (children := _children()) and time.monotonic() < deadline:
        for child in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(_POLL_SECONDS / 5)
        for child in children:
            with suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)


def _children() -> list[int]:
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, path.read_text(encoding="ascii").split())
    return found
