"""Profiles with an id of their own take turns on a store, so that two campaigns never measure one host at once."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NAME = "profile.lock"
_MOST_BYTES = 128


@contextmanager
def turn(folder: Path | None, run_id: str, waits: Callable[[str], object]) -> Iterator[None]:
    """Wait until no other process has the turn, and hold it during the block; `waits` gets the id of the other run.

    `folder` is that of the store's files; without one there is nothing to wait for. The kernel ends the turn of a
    process that dies. Raises OSError if the file cannot be written.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o660)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits(_content(descriptor))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, run_id.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def run_in_turn(folder: Path | None) -> str:
    """Return the id of the run that has the turn now, empty if none has it or this user cannot read the file."""
    if folder is None:
        return ""
    try:
        descriptor = os.open(folder / _NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _content(descriptor)
    else:
        return ""
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> str:
    return os.pread(descriptor, _MOST_BYTES, 0).decode("ascii", errors="replace")
