"""Writes text files below a root and removes them again, leaving alone what an administrator decided otherwise."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.runtime.output import output

if TYPE_CHECKING:
    from pathlib import Path


class FileStatus(StrEnum):
    """How a file stands against the text it should have; masked is a link to /dev/null in its place."""

    CURRENT = "current"
    CHANGED = "changed"
    MASKED = "masked"
    MISSING = "missing"


class Action(StrEnum):
    """What was done with a file or a folder; a masked one stays masked."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    MASKED = "masked"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One file or folder, and what was done with it."""

    path: str
    outcome: Action


def presence(target: Path, text: str) -> FileStatus:
    """Return how `target` stands against `text`; one that cannot be read is not as it was written, so changed."""
    if target.is_symlink() and str(target.readlink()) == os.devnull:
        return FileStatus.MASKED
    if not target.exists():
        return FileStatus.MISSING
    try:
        return FileStatus.CURRENT if target.read_bytes() == text.encode() else FileStatus.CHANGED
    except OSError:
        return FileStatus.CHANGED


def write(root: Path, place: str, text: str, *, keep: bool) -> Change:
    """Write `text` to `place` below `root` for everyone to read, at once or not at all; if `keep`, only if it is new.

    Raises OSError as the disk does, and PermissionError where a link leads out of `root`.
    """
    target = root / place
    found = presence(target, text)
    if found is FileStatus.CURRENT:
        return Change(str(target), Action.UNCHANGED)
    if found is FileStatus.MASKED:
        return Change(str(target), Action.MASKED)
    if found is FileStatus.CHANGED and keep:
        return Change(str(target), Action.KEPT)
    if not target.resolve().is_relative_to(root.resolve()):
        raise PermissionError(f"{target} leads out of {root} through a link: nothing was written there")
    for folder in reversed([folder for folder in target.parents if not folder.exists()]):
        folder.mkdir()
        folder.chmod(0o755)  # whatever the umask is
    with output(target, 0o644) as stream:
        stream.write(text.encode())
    return Change(str(target), Action.WRITTEN)


def remove(target: Path) -> Change | None:
    """Remove a file, a link or a whole folder; None if nothing is there.

    Of a folder that is a link only the link goes, not what it leads to.
    """
    if target.is_symlink() and str(target.readlink()) == os.devnull:
        return Change(str(target), Action.MASKED)
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    else:
        return None
    return Change(str(target), Action.REMOVED)
