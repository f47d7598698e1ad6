"""Watches files through the kernel's inotify (man 7 inotify), and compares folders before and after."""

from __future__ import annotations

import ctypes
import hashlib
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_ACCESSES = {0x1: "read"}
"""Opening a kernel file does not reach its device; reading it does."""
_CHANGES = {
    0x2: "changed",
    0x4: "attributes changed",
    0x8: "opened for writing",
    0x40: "moved away",
    0x80: "moved here",
    0x100: "created",
    0x200: "deleted",
}
_EVENT = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 20


class FileWatch:
    """Records accesses to some files, or changes in some folders, by any process.

    Raises OSError if the kernel allows no more watches.
    """

    def __init__(self, paths: Iterable[Path], words: Mapping[int, str]) -> None:
        self._words = words
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        mask = sum(words)
        self._paths = {
            self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)): path for path in paths
        }

    def events(self) -> list[str]:
        """Return the events since the previous call, each once, in order."""
        found: dict[str, None] = {}
        try:
            while raw := os.read(self._fd, _BUFFER_BYTES):
                found |= dict.fromkeys(self._sentences(raw))
        except BlockingIOError:
            return list(found)
        return list(found)

    def close(self) -> None:
        """Stop; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _sentences(self, raw: bytes) -> Iterable[str]:
        start = 0
        while start < len(raw):
            number, mask, _, length = _EVENT.unpack_from(raw, start)
            start += _EVENT.size + length
            name = os.fsdecode(raw[start - length : start].rstrip(b"\0"))
            if words := [word for bit, word in self._words.items() if mask & bit]:
                path = self._paths[number]
                yield f"{path / name if name else path} {', '.join(words)}"

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"inotify: {os.strerror(number)}")
        return result


def accesses(files: Iterable[Path]) -> FileWatch:
    """Watch files for reads."""
    return FileWatch(files, _ACCESSES)


def changes(folders: Iterable[Path]) -> FileWatch:
    """Watch folders and everything below them for changes, and for files that are opened for writing."""
    return FileWatch([folder for top in folders for folder in _below(top)], _CHANGES)


def snapshot(folders: Iterable[Path]) -> dict[Path, tuple[object, ...]]:
    """Return mode, time of the last change and content of everything below some folders."""
    found: dict[Path, tuple[object, ...]] = {}
    for path in (entry for top in folders for entry in (top, *sorted(top.rglob("*")))):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[path] = (status.st_mode, status.st_mtime_ns, content)
    return found


def _below(top: Path) -> Iterable[Path]:
    yield top
    yield from (path for path in top.rglob("*") if path.is_dir() and not path.is_symlink())
