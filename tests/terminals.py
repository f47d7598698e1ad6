"""Runs the command on a terminal, from its first character to its end."""

from __future__ import annotations

import os
import pty
from typing import TYPE_CHECKING

from command import started

if TYPE_CHECKING:
    from pathlib import Path


def on_terminal(home: Path, *line: object) -> tuple[int, str]:
    """Run the command with a terminal as all of its streams; return its exit code and what the terminal shows."""
    ours, theirs = pty.openpty()
    with started(home, *line, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # EIO: the program has closed it
                break
        os.close(ours)
        return process.wait(), shown.decode()
