"""Progress of long work on standard error, with the remaining time: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from agent.runtime.console import print_err, printable_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from agent.profiling.progress import Progress

_REFRESHES_A_SECOND = 1  # drawing loads the host under measurement
_HEARTBEAT_SECONDS = 10.0
"""The longest time without a line if there is no terminal."""
_MIN_INTERVAL_SECONDS = 5.0
_FREE_LINES = 100
"""The number of steps that are printed at once; later ones are printed every `_MIN_INTERVAL_SECONDS`."""
_MINUTE, _HOUR = 60, 3600


@contextmanager
def progress() -> Iterator[Progress]:
    """Show the reported steps while the block runs."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in {"dumb", ""}:
        lines = Lines(print_err)
        with lines.heartbeat():
            yield lines
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    texts = (TextColumn(f"{{task.fields[{name}]}}") for name in ("count", "left"))
    columns = (BarColumn(20), *texts, TimeElapsedColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True, highlight=False, markup=False)
    with RichProgress(*columns, console=console, transient=True, refresh_per_second=_REFRESHES_A_SECOND) as bar:
        yield _Bar(bar, bar.add_task("starting", total=None, count="", left=""))


class RemainingTime:
    """Extrapolates the remaining time from the mean time of the steps; it is at least the planned rest."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start: tuple[float, int] | None = None

    def remaining(self, done: int, total: int | None, least_seconds: float = 0.0) -> str:
        """Return the remaining time in words, empty without a finished step and a planned rest."""
        if total is None or done >= total:
            return ""
        if self._start is None:
            self._start = (self._clock(), done)
        began, first = self._start
        by_pace = (self._clock() - began) / (done - first) * (total - done) if done > first else 0.0
        left = max(by_pace, least_seconds)
        return f"about {duration(left)} left" if left or done > first else ""


def duration(seconds: float) -> str:
    """Return a duration in words: `40 s`, `12 min`, `1 h 5 min`."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


class Lines:
    """Progress as lines: one for each step, and one after a silence, each with the remaining time."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._began = self._last = clock()
        self._remaining_time = RemainingTime(clock)
        self._lock = Lock()
        self._now = ""
        self._printed = 0

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Print a line after every silence within the block."""
        over = Event()

        def watch() -> None:
            while not over.wait(_HEARTBEAT_SECONDS):
                self.print_heartbeat()

        thread = Thread(target=watch, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def step(self, done: int, total: int | None, doing: str, least_seconds: float = 0.0) -> None:
        """Print the current step, unless too many lines were printed recently."""
        left = self._remaining_time.remaining(done, total, least_seconds)
        parts = [doing if total is None else f"[{done}/{total}] {doing}", left]
        with self._lock:
            self._now = ", ".join(filter(None, parts))
            self._printed += 1
            if self._printed <= _FREE_LINES or done == total or self._clock() - self._last >= _MIN_INTERVAL_SECONDS:
                self._print(self._now)

    def note(self, text: str) -> None:
        """Print a message to the user at once."""
        with self._lock:
            self._print(text)

    def confirm(self, _question: str) -> bool:
        """Return False: without a terminal nobody can answer."""
        return False

    def print_heartbeat(self) -> None:
        """Print the current step again if nothing was printed for a while."""
        with self._lock:
            if self._now and self._clock() - self._last >= _HEARTBEAT_SECONDS / 2:
                self._print(f"{self._now} (after {duration(self._clock() - self._began)})")

    def _print(self, text: str) -> None:
        self._last = self._clock()
        self._write(text)


class _Bar:
    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._remaining_time = RemainingTime(time.monotonic)

    def step(self, done: int, total: int | None, doing: str, least_seconds: float = 0.0) -> None:
        count = "" if total is None else f"{done}/{total}"
        left = self._remaining_time.remaining(done, total, least_seconds)
        self._bar.update(
            self._task, completed=done, total=total, description=printable_line(doing), count=count, left=left
        )

    def note(self, text: str) -> None:
        self._bar.console.print(printable_line(text))

    def confirm(self, question: str) -> bool:
        """Ask on the terminal whether to continue, with the bar hidden; the default is no."""
        if not sys.stdin.isatty():
            return False
        self._bar.stop()
        self._bar.console.print(f"{printable_line(question)} Continue anyway? [y/N] ", end="")
        answered = sys.stdin.readline().strip().lower()
        self._bar.start()
        return answered in {"y", "yes"}
