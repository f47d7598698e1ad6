"""Progress of long work on standard error: a bar on a terminal, one line a step elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.cli.options import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from agent.profiling.session import Progress

_REFRESHES_A_SECOND = 1  # drawing is work on the host that is being measured


@contextmanager
def progress() -> Iterator[Progress]:
    """Show the steps that are handed over while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(20), TextColumn("{task.fields[count]}"), TimeElapsedColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True, highlight=False, markup=False)
    with RichProgress(*columns, console=console, transient=True, refresh_per_second=_REFRESHES_A_SECOND) as bar:
        yield _Bar(bar, bar.add_task("starting", total=None, count=""))


class _Lines:
    def step(self, done: int, total: int | None, doing: str) -> None:
        say(doing if total is None else f"[{done}/{total}] {doing}")

    def note(self, text: str) -> None:
        say(text)


class _Bar:
    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def step(self, done: int, total: int | None, doing: str) -> None:
        count = "" if total is None else f"{done}/{total}"
        self._bar.update(self._task, completed=done, total=total, description=doing, count=count)

    def note(self, text: str) -> None:
        self._bar.console.print(text)
