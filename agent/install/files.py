"""Writes text files below a root and removes them, except those that an administrator masked."""

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
    """The state of a file against its expected text; a masked file is a link to /dev/null."""

    CURRENT = "current"
    CHANGED = "changed"
    MASKED = "masked"
    MISSING = "missing"


class Action(StrEnum):
    """The action on a file or a folder; a masked file stays masked."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    MASKED = "masked"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One file or folder, and the action on it."""

    path: str
    outcome: Action


def file_status(target: Path, text: str) -> FileStatus:
    """Return the state of `target` against `text`; an unreadable file counts as changed."""
    if target.is_symlink() and str(target.readlink()) == os.devnull:
        return FileStatus.MASKED
    if not target.exists():
        return FileStatus.MISSING
    try:
        return FileStatus.CURRENT if target.read_bytes() == text.encode() else FileStatus.CHANGED
    except OSError:
        return FileStatus.CHANGED


def write(root: Path, place: str, text: str, *, keep: bool) -> Change:
    """Write `text` to `place` below `root` atomically, readable for everyone; with `keep` only if the file is missing.

    Raises OSError if the disk does, and PermissionError if a link leads out of `root`.
    """
    target = root / place
    found = file_status(target, text)
    if found is FileStatus.CURRENT:
        return Change(str(target), Action.UNCHANGED)
    if found is FileStatus.MASKED:
        return Change(str(target), Action.MASKED)
    if found is FileStatus.CHANGED and keep:
        return Change(str(target), Action.KEPT)
    if not target.resolve().is_relative_to(root.resolve()):
        raise PermissionError(f"{target} leads out of {root} through a link: nothing was written")
    for folder in reversed([folder for folder in target.parents if not folder.exists()]):
        folder.mkdir()
        folder.chmod(0o755)  # with any umask
    with output(target, 0o644) as stream:
        stream.write(text.encode())
    return Change(str(target), Action.WRITTEN)


def remove(target: Path) -> Change | None:
    """Remove a file, a link or a whole folder; return None if it does not exist.

    Only the link is removed if a folder is a link.
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
