"""A temporary folder that only this user can open, and that does not outlive the process."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREATE_AND_REMOVE = """
import shutil, sys, tempfile
folder = tempfile.mkdtemp(prefix="inferometer-")
try:
    print(folder, flush=True)
    sys.stdin.read()
finally:
    shutil.rmtree(folder, ignore_errors=True)
"""


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder among the temporary files, and remove it at the end of the block. Raises OSError."""
    with shared_folder() as (folder, _):
        yield folder


@contextmanager
def shared_folder() -> Iterator[tuple[Path, int]]:
    """Make a folder as `private_folder` does; it stays until each process that inherits the descriptor has ended.

    A second process makes and removes it. It waits for the end of a pipe, which comes with the end of this process, so
    that even SIGKILL leaves nothing behind.
    """
    command = (sys.executable, "-I", "-S", "-c", _CREATE_AND_REMOVE)
    # In a session of its own, because Ctrl-C and the kill of a process group must not reach it.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding=sys.getfilesystemencoding(),
        errors="surrogateescape",
        start_new_session=True,
    ) as remover:
        if remover.stdin is None or remover.stdout is None or remover.stderr is None:
            raise AssertionError  # each is a pipe
        try:
            name = remover.stdout.readline().rstrip("\n")
            if not name:
                reason = remover.stderr.read().strip().rpartition("\n")[2]
                raise OSError(f"no temporary folder can be made: {reason}")
            yield Path(name), remover.stdin.fileno()
        finally:
            remover.stdin.close()
            remover.wait()
