"""Small kernel files: read once by path at discovery, or kept open and read again and again."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from probes.errors import ReadError
from probes.text import decoded, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LONGEST_VALUE = 64

Raws = tuple[Sequence[int | None], Mapping[int, ReadError]]
"""What files of one integer each showed, in order, None where one gave nothing, and by position why."""

_NOTHING_FAILED: Mapping[int, ReadError] = MappingProxyType({})


class ValueFile:
    """A kernel file of one integer, opened once; each `read` asks the kernel for the value anew.

    Raises OSError on construction if the file cannot be opened.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the file's descriptor, -1 once it is closed."""
        return self._fd

    def read(self) -> int:
        """Return the value now. Raises ReadError if the kernel refuses or gives no integer."""
        return self.read_by(os.pread)

    def read_by(self, pread: Callable[[int, int, int], bytes]) -> int:
        """Return the value now, asked for by `pread` in the place of the system's own. Raises ReadError."""
        try:
            raw = pread(self._fd, _LONGEST_VALUE, 0)
        except OSError as error:
            raise ReadError(f"{self.path}: {error.strerror or error}") from error
        try:
            return int(raw)
        except ValueError as error:
            raise ReadError(f"{self.path}: {decoded(raw)!r} is not a number") from error

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ValueFiles:
    """Kernel files of one integer each that are read in one go, as tightly as Python can: 2 us a file.

    `pread` is what reads them.
    """

    __slots__ = ("_fds", "_files", "_pread")

    def __init__(self, files: Sequence[ValueFile], pread: Callable[[int, int, int], bytes] = os.pread) -> None:
        self._files = tuple(files)
        self._fds = tuple(file.fileno() for file in files)
        self._pread = pread

    def read(self) -> Raws:
        """Return the values in order, None where a file gave nothing, and by position why."""
        pread = self._pread
        try:
            return [int(pread(fd, _LONGEST_VALUE, 0)) for fd in self._fds], _NOTHING_FAILED
        except (OSError, ValueError):
            return self._read_each()

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for file in self._files:
            file.close()

    def _read_each(self) -> Raws:
        values: list[int | None] = []
        errors: dict[int, ReadError] = {}
        for file in self._files:
            try:
                values.append(file.read_by(self._pread))
            except ReadError as error:
                errors[len(values)] = error
                values.append(None)
        return values, errors


class RuntimeStatus:
    """Whether the kernel has put a device to sleep, from its `power/runtime_status`, which stays open.

    A device without such a file (`path` is None), or whose file cannot be opened, as in some containers, counts as
    awake. To read the file wakes nothing (kernel: Documentation/power/runtime_pm.rst).
    """

    __slots__ = ("_fd",)

    def __init__(self, path: Path | None) -> None:
        self._fd = -1
        if path:
            with suppress(OSError):
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def sleeps(self) -> bool:
        """Tell whether the device sleeps now; one that is gone does not: its sensors will say that it is gone."""
        try:
            return self._fd >= 0 and os.pread(self._fd, 16, 0).startswith(b"suspended")
        except OSError:
            return False

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def number_of(error: ReadError) -> int:
    """Return the errno of a read that the kernel refused, 0 if it was none that refused."""
    cause = error.__cause__
    return (cause.errno or 0) if isinstance(cause, OSError) else 0


def is_gone(error: ReadError) -> bool:
    """Tell whether a read was refused because the device was removed: its open files answer nothing else ever again."""
    return number_of(error) == errno.ENODEV


def read_text(path: Path) -> str | None:
    """Return the stripped, printable text of a small file, or None if it does not exist or cannot be read."""
    try:
        return printable(path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n"))
    except OSError:
        return None


def read_label(path: Path) -> str:
    """Return the text of a small file as one printable line, empty if it does not exist or cannot be read."""
    return one_line(read_text(path) or "")


def read_int(path: Path) -> int | None:
    """Return the integer in a small file (decimal or 0x-hexadecimal), or None if there is none to be read."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return None
