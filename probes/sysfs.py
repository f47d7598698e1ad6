"""Small kernel files: read once by path at discovery, or kept open and read again and again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from probes.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_VALUE = 64


class ValueFile:
    """A kernel file of one integer, opened once; each `read` asks the kernel for the value anew.

    Raises OSError on construction if the file cannot be opened.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int:
        """Return the value now. Raises ReadError if the kernel refuses or gives no integer."""
        try:
            return int(os.pread(self._fd, _LONGEST_VALUE, 0))
        except (OSError, ValueError) as error:
            raise ReadError(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_text(path: Path) -> str | None:
    """Return the stripped text of a small file, or None if it does not exist or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n")
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """Return the integer in a small file (decimal or 0x-hexadecimal), or None if there is none to be read."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return None
