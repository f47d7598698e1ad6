"""Progress of long work on standard error: a bar on a terminal, one line a step elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.cli.options import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.profiling.session import Progress


@contextmanager
def progress() -> Iterator[Progress]:
    """Show the steps that are handed over while the block runs."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(20), TextColumn("{task.completed:.0f}/{task.total:.0f}"), TimeElapsedColumn())
    with Bar(*columns, TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing)

        yield show


def _line(done: int, total: int, doing: str) -> None:
    say(f"[{done}/{total}] {doing}")
