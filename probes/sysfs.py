"""Small kernel files: read once by path at discovery, or kept open and read again and again."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import length_hint
from types import MappingProxyType
from typing import TYPE_CHECKING

from probes.deadline import NoAnswerError, within
from probes.errors import ReadError
from probes.text import decoded, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LONGEST_VALUE = 64
_QUICK_SECONDS = 0.1
ANSWER_SECONDS = 0.5
"""A file that does not answer for so long at discovery is a problem of its own, and holds up no other."""

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


def open_value_file(
    path: Path, prove: Callable[[ValueFile], object] = ValueFile.read, seconds: float = ANSWER_SECONDS
) -> ValueFile:
    """Return a kernel file that was opened and proved, and that answered within so many seconds.

    Raises OSError if it cannot be opened, and what `prove` raises. Raises ReadError if it does not answer in time: its
    thread is left behind, and closes it should it ever answer.
    """
    try:
        return within(seconds, lambda: _proved(path, prove), f"open-{path}", ValueFile.close)
    except NoAnswerError:
        raise ReadError(f"{path}: no answer within {seconds:g} s") from no_answer()


def no_answer() -> OSError:
    """Return the error of a file that does not answer, as the kernel would word it."""
    return TimeoutError(errno.ETIMEDOUT, "no answer")


def _proved(path: Path, prove: Callable[[ValueFile], object]) -> ValueFile:
    file = ValueFile(path)
    try:
        prove(file)
    except ReadError:
        file.close()
        raise
    return file


class ValueFiles:
    """Kernel files of one integer each that are read in one go, as tightly as Python can: 2 us a file.

    `pread` is what reads them. A file that hangs can be isolated by another thread, and be restored later.
    """

    __slots__ = ("_fds", "_files", "_hung", "_pread", "_reading")

    def __init__(self, files: Sequence[ValueFile], pread: Callable[[int, int, int], bytes] = os.pread) -> None:
        self._files = tuple(files)
        self._fds = tuple(file.fileno() for file in files)
        self._pread = pread
        self._hung: dict[int, ReadError] = {}
        self._reading: list[Iterator[int]] = []  # of the read under way; whoever empties it has the last word on it

    def read(self) -> Raws:
        """Return the values in order, None where a file gave nothing, and by position why.

        Raises ReadError if the file that was read last was isolated meanwhile.
        """
        pread, fds = self._pread, iter(self._fds)
        if self._hung:
            return self._read_each()
        self._reading = reading = [fds]
        try:
            values = [int(pread(fd, _LONGEST_VALUE, 0)) for fd in fds]
        except (OSError, ValueError):
            self._end(reading)
            return self._read_each()
        self._end(reading)
        return values, _NOTHING_FAILED

    def isolate(self) -> int | None:
        """Leave out the file that another thread waits for, and return its position; None if none waits."""
        try:
            waiting = self._reading.pop()
        except IndexError:
            return None
        position = len(self._fds) - length_hint(waiting) - 1
        self._hung = {**self._hung, position: ReadError(f"{self._files[position].path}: no answer")}
        return position

    def isolated_file(self, position: int, channels: tuple[int, ...]) -> IsolatedValueFile:
        """Return what can be done with a file that was isolated, which feeds these channels."""
        return IsolatedValueFile(self, self._files[position], position, channels)

    def restore(self, position: int) -> None:
        """Read a file that was isolated with the others again."""
        self._hung = {at: error for at, error in self._hung.items() if at != position}

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for file in self._files:
            file.close()

    @staticmethod
    def _end(reading: list[Iterator[int]]) -> None:
        """End a read, or raise ReadError if it was given up."""
        try:
            reading.pop()
        except IndexError:
            raise ReadError("the read was given up: a file did not answer") from None

    def _read_each(self) -> Raws:
        positions = iter(range(len(self._files)))
        self._reading = reading = [positions]
        values: list[int | None] = []
        errors: dict[int, ReadError] = dict(self._hung)
        for position in positions:
            value = None
            if position not in errors:
                try:
                    value = self._files[position].read_by(self._pread)
                except ReadError as error:
                    errors[position] = error
            values.append(value)
        self._end(reading)
        return values, errors


class IsolatedValueFile:
    """A file that was isolated; `channels` are the positions that it feeds in its probe."""

    def __init__(self, files: ValueFiles, file: ValueFile, position: int, channels: tuple[int, ...]) -> None:
        self.path = str(file.path)
        self.channels = channels
        self._files = files
        self._file = file
        self._position = position

    def answers(self) -> bool:
        """Read the file, however long that takes; return whether it answered quickly, be it with an error."""
        began = time.monotonic()
        with suppress(ReadError):
            self._file.read()
        return time.monotonic() - began < _QUICK_SECONDS

    def restore(self) -> None:
        """Read the file with the others again."""
        self._files.restore(self._position)


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

    def is_suspended(self) -> bool:
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


def errno_of(error: ReadError) -> int:
    """Return the errno of a read that the kernel refused, 0 if it was none that refused."""
    cause = error.__cause__
    return (cause.errno or 0) if isinstance(cause, OSError) else 0


def is_device_removed(error: ReadError) -> bool:
    """Tell whether a read was refused because the device was removed: its open files answer nothing else ever again."""
    return errno_of(error) == errno.ENODEV


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
