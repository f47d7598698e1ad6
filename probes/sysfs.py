"""Small kernel files: read once by path at discovery, or opened once and read repeatedly."""

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
"""A file that does not answer within this time at discovery becomes a problem and delays no other file."""

Raws = tuple[Sequence[int | None], Mapping[int, ReadError]]
"""The values of several files in order, None for each failed read, and the errors by position."""

_NOTHING_FAILED: Mapping[int, ReadError] = MappingProxyType({})


class ValueFile:
    """A kernel file of one integer, opened once; each `read` asks the kernel again.

    Raises OSError on construction if the file cannot be opened.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the file's descriptor, -1 after it is closed."""
        return self._fd

    def read(self) -> int:
        """Return the current value. Raises ReadError if the kernel refuses or gives no integer."""
        return self.read_by(os.pread)

    def read_by(self, pread: Callable[[int, int, int], bytes]) -> int:
        """Return the current value, read with `pread` instead of the system's. Raises ReadError."""
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
    """Open a kernel file and test it with `prove`, within at most `seconds`.

    Raises OSError if it cannot be opened, and the errors of `prove`. Raises ReadError if it does not answer in time:
    its thread is abandoned, and closes the file if it ever answers.
    """
    try:
        return within(seconds, lambda: _proved(path, prove), f"open-{path}", ValueFile.close)
    except NoAnswerError:
        raise ReadError(f"{path}: no answer within {seconds:g} s") from no_answer()


def no_answer() -> OSError:
    """Return the error of a file that does not answer, in the kernel's words."""
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
    """Kernel files of one integer each, read together with little overhead: 2 us a file.

    `pread` reads them. Another thread can isolate a file that hangs, and restore it later.
    """

    __slots__ = ("_fds", "_files", "_hung", "_pread", "_reading")

    def __init__(self, files: Sequence[ValueFile], pread: Callable[[int, int, int], bytes] = os.pread) -> None:
        self._files = tuple(files)
        self._fds = tuple(file.fileno() for file in files)
        self._pread = pread
        self._hung: dict[int, ReadError] = {}
        self._reading: list[
            Iterator[int]
        ] = []  # of the read in progress; the thread that empties it decides its result

    def read(self) -> Raws:
        """Return the values in order, None for each failed read, and the errors by position.

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
        """Leave out the file for which another thread waits, and return its position; None if no thread waits."""
        try:
            waiting = self._reading.pop()
        except IndexError:
            return None
        position = len(self._fds) - length_hint(waiting) - 1
        self._hung = {**self._hung, position: ReadError(f"{self._files[position].path}: no answer")}
        return position

    def isolated_file(self, position: int, channels: tuple[int, ...]) -> IsolatedValueFile:
        """Return the handle of an isolated file, which feeds these channels."""
        return IsolatedValueFile(self, self._files[position], position, channels)

    def restore(self, position: int) -> None:
        """Include an isolated file in the reads again."""
        self._hung = {at: error for at, error in self._hung.items() if at != position}

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for file in self._files:
            file.close()

    @staticmethod
    def _end(reading: list[Iterator[int]]) -> None:
        """End a read. Raises ReadError if it was abandoned."""
        try:
            reading.pop()
        except IndexError:
            raise ReadError("the read was abandoned: a file did not answer") from None

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
    """The handle of an isolated file; `channels` are the positions that it feeds in its probe."""

    def __init__(self, files: ValueFiles, file: ValueFile, position: int, channels: tuple[int, ...]) -> None:
        self.path = str(file.path)
        self.channels = channels
        self._files = files
        self._file = file
        self._position = position

    def answers(self) -> bool:
        """Read the file without a deadline; return whether it answered quickly, if only with an error."""
        began = time.monotonic()
        with suppress(ReadError):
            self._file.read()
        return time.monotonic() - began < _QUICK_SECONDS

    def restore(self) -> None:
        """Include the file in the reads of its probe again."""
        self._files.restore(self._position)


class RuntimeStatus:
    """Whether the kernel has suspended a device, from its `power/runtime_status`, which stays open.

    A device without such a file (`path` is None), or whose file cannot be opened, as in some containers, counts as
    awake. Reading the file does not wake the device (kernel: Documentation/power/runtime_pm.rst).
    """

    __slots__ = ("_fd",)

    def __init__(self, path: Path | None) -> None:
        self._fd = -1
        if path:
            with suppress(OSError):
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def is_suspended(self) -> bool:
        """Return whether the device is suspended. A removed device is not: its sensors report the removal."""
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
    """Return the errno of a read that the kernel refused, 0 for another error."""
    cause = error.__cause__
    return (cause.errno or 0) if isinstance(cause, OSError) else 0


def is_device_removed(error: ReadError) -> bool:
    """Return whether a read was refused because the device was removed; its open files never work again."""
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
    """Return the integer in a small file (decimal or 0x-hexadecimal), or None if it holds none."""
    text = read_text(path)
    if text is None:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return None
