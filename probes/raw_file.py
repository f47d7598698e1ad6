"""A kernel file of text or binary data, opened once and read repeatedly."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from probes.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path


class RawFile:
    """A kernel file of at most `most_bytes`; each `read` asks the kernel again.

    Raises OSError on construction if the file cannot be opened.
    """

    __slots__ = ("_fd", "_most_bytes", "path")

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Return the present contents. Raises ReadError if the kernel refuses."""
        try:
            return os.pread(self._fd, self._most_bytes, 0)
        except OSError as error:
            raise ReadError(f"{self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
