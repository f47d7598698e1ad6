"""Resolves a path step by step, and refuses links that another user may have planted.

The rule is that of fs.protected_symlinks in the kernel's documentation of /proc/sys/fs: in a sticky, world-writable
directory such as /tmp a symbolic link is followed only if its owner is the caller or the owner of the directory. Every
step opens the next name below an open directory, so nothing can be replaced between check and use.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_LINKS = 40  # as many as the kernel follows
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"(?:/dev|/proc/(?:self|thread-self|(?P<process>\d+)(?:/task/\d+)?))/fd/(?P<number>\d+)")
_OPEN_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """The end of a path: a name below an open directory, or a descriptor of this process (`/dev/stdout`).

    `passed` are the directories on the way, also those of links, each with its status when it was opened.
    """

    directory: int
    name: str
    descriptor: int | None = None
    passed: tuple[tuple[Path, os.stat_result], ...] = ()

    def status(self) -> os.stat_result | None:
        """Return the status of the entry itself, None if there is none."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None


class ForeignLinkError(PermissionError):
    """A symbolic link that another user owns stands in a sticky, world-writable directory."""


@contextmanager
def resolved(path: Path) -> Iterator[Place]:
    """Yield the place of `path` with all links followed; its last name may be missing.

    Raises OSError as the kernel does, and ForeignLinkError.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "the path holds a NUL character")
    directory = os.open("/" if path.is_absolute() else ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    walk = _Walk(directory, Path("/") if path.is_absolute() else Path())
    try:
        yield walk.to(path)
    finally:
        os.close(walk.directory)


def is_shared(directory: os.stat_result) -> bool:
    """Return whether every user may create files in a directory and remove only their own, as in /tmp."""
    return bool(directory.st_mode & stat.S_ISVTX and directory.st_mode & stat.S_IWOTH)


def is_foreign(entry: os.stat_result, directory: os.stat_result) -> bool:
    """Return whether an entry of a shared directory belongs to neither the caller nor the directory's owner."""
    return is_shared(directory) and entry.st_uid not in {os.geteuid(), directory.st_uid}


class _Walk:
    def __init__(self, directory: int, above: Path) -> None:
        self.directory = directory
        self._above = above
        self._links = 0
        self._passed = [(above, os.fstat(directory))]

    def to(self, path: Path) -> Place:
        waiting = _names(path)
        if (number := _descriptor(path)) is not None:  # also where /proc is not mounted
            return Place(self.directory, "", number)
        while waiting:
            name = waiting.pop(0)
            if (number := _descriptor(self._above / name)) is not None:
                return Place(self.directory, name, number)
            text = self._link_at(name)
            if text is not None:
                if text.startswith("/"):
                    self._enter("/")
                waiting = [*_names(Path(text)), *waiting]
            elif waiting:
                self._enter(name)
            else:
                return Place(self.directory, name, passed=tuple(self._passed))
        return Place(self.directory, ".", passed=tuple(self._passed))

    def _link_at(self, name: str) -> str | None:
        """Return the target of the link of this name, None if it is not a link or is missing."""
        try:
            entry = os.open(name, _OPEN_PLACE, dir_fd=self.directory)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(entry)
            if not stat.S_ISLNK(status.st_mode):
                return None
            self._links += 1
            if self._links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if is_foreign(status, os.fstat(self.directory)):
                owner = f"belongs to user {status.st_uid}, in a folder that everyone may write"
                raise ForeignLinkError(errno.EACCES, f"the link {self._above / name} {owner}")
            return os.readlink("", dir_fd=entry)
        finally:
            os.close(entry)

    def _enter(self, name: str) -> None:
        entered = os.open(name, _OPEN_PLACE | os.O_DIRECTORY, dir_fd=self.directory)
        os.close(self.directory)
        self.directory = entered
        self._above = Path(os.path.normpath(self._above / name))
        self._passed.append((self._above, os.fstat(entered)))


def _names(path: Path) -> list[str]:
    return [name for name in path.parts if name != "/"]


def _descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path names; its link in /proc cannot always be followed."""
    text = str(path)
    if text in _STANDARD:
        return _STANDARD[text]
    match = _DESCRIPTOR.fullmatch(text)
    if match is None or match["process"] not in {None, str(os.getpid())}:
        return None
    return int(match["number"])
