"""Reads the small files of a driver that show one value each, as text of any form."""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from probes.deadline import NoAnswerError, within
from probes.errors import DeviceLostError, ReadError
from probes.model import Problem, Reason, Rejection
from probes.plausibility import BLANKS, check_gauge
from probes.raw_file import RawFile
from probes.remedies import cause_of, is_denied, remedy_for
from probes.sysfs import ANSWER_SECONDS, RuntimeStatus, errno_of, is_device_removed, no_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from probes.model import Channel

FILE_BYTES = 4096
_LONGEST_NUMBER = 24
UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOENT, errno.ENODEV, errno.EPERM})
"""Errors of a file that a device does not support, or that it lacks."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """The name of a file below the folder of a device, its channel, and the parser of its text to a value."""

    name: str
    channel: Channel
    parse: Callable[[bytes], float | None]

    def value(self, raw: bytes) -> float | Reason:
        """Return the value of the contents, or the reason for its rejection."""
        found = self.parse(raw)
        if found is None:
            return Reason.READ_ERROR
        return Reason.SENTINEL if found in BLANKS else check_gauge(self.channel, found)


@dataclass(frozen=True, slots=True)
class OpenAttribute:
    """An attribute and its open file."""

    attribute: Attribute
    file: RawFile


class AttributeProbe:
    """The attributes of one device; `runtime_status` is the file with its suspend state, None if it has none."""

    files_only = False  # most drivers ask their device

    def __init__(self, name: str, opened: Sequence[OpenAttribute], runtime_status: Path | None) -> None:
        self.name = name
        self.channels: tuple[Channel, ...] = tuple(each.attribute.channel for each in opened)
        self.rejections: list[Rejection] = []
        self._opened = tuple(opened)
        self._status = RuntimeStatus(runtime_status)

    def read(self, at_ns: int) -> list[float]:  # noqa: ARG002  gauges need no time base
        """Return one value per channel; all NaN while the device is suspended, because a read would wake it.

        Raises ReadError if every file fails, DeviceLostError if every file reports that the device was removed.
        """
        if self._status.is_suspended():
            return [math.nan] * len(self.channels)
        errors: list[ReadError] = []
        found = [self._value(each, errors) for each in self._opened]
        self._raise_if_all_failed(errors, len(self._opened))
        return self._checked(found)

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for each in self._opened:
            each.file.close()
        self._status.close()

    def _value(self, each: OpenAttribute, errors: list[ReadError]) -> float | Reason:
        """Read one file; append the error if that fails."""
        try:
            return each.attribute.value(each.file.read())
        except ReadError as error:
            errors.append(error)
            return Reason.READ_ERROR

    def _raise_if_all_failed(self, errors: Sequence[ReadError], files: int) -> None:
        if errors and len(errors) == files:
            if all(map(is_device_removed, errors)):
                raise DeviceLostError(f"{self.name}: the device was removed") from errors[0]
            raise errors[0]

    def _checked(self, found: Sequence[float | Reason]) -> list[float]:
        """Return the values, NaN for each rejected one after noting the reason."""
        for channel, value in enumerate(found):
            if isinstance(value, Reason):
                self.rejections.append(Rejection(channel, value))
        return [math.nan if isinstance(value, Reason) else value for value in found]


def open_file(path: Path, most_bytes: int, problems: list[Problem], *, prove: bool) -> RawFile | None:
    """Open a file and read it once if `prove`; None if the driver lacks it or it cannot be read.

    A file that the user may not read, or that does not answer, becomes a problem.
    """
    try:
        return within(ANSWER_SECONDS, partial(_opened, path, most_bytes, prove=prove), f"open-{path}", RawFile.close)
    except NoAnswerError:
        problems.append(Problem(str(path), f"no answer within {ANSWER_SECONDS:g} s", remedy_for(no_answer())))
    except (OSError, ReadError) as error:
        if is_denied(error):
            problems.append(Problem(str(path), cause_of(error, path), remedy_for(error)))
    return None


def _opened(path: Path, most_bytes: int, *, prove: bool) -> RawFile:
    """Return an open file. Raises OSError, or ReadError if it can never be read."""
    file = RawFile(path, most_bytes)
    try:
        if prove:
            file.read()
    except ReadError as error:
        if errno_of(error) in UNSUPPORTED:
            file.close()
            raise
    return file


def open_attributes(
    folder: Path, wanted: Sequence[Attribute], problems: list[Problem], *, prove: bool
) -> list[OpenAttribute]:
    """Open those attributes that a device has, and read each once if `prove`."""
    files = ((each, open_file(folder / each.name, FILE_BYTES, problems, prove=prove)) for each in wanted)
    return [OpenAttribute(each, file) for each, file in files if file]


def parse_number(raw: bytes) -> float | None:
    """Return the integer in a file, None if there is none."""
    try:
        return float(int(raw)) if len(raw) <= _LONGEST_NUMBER else None
    except ValueError:
        return None


def parse_percent(raw: bytes) -> float | None:
    """Return the percentage in a file as a ratio, None if there is none."""
    number = parse_number(raw)
    return None if number is None else number / 100
