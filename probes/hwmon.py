"""Reads the power, energy and temperature attributes of the kernel's hwmon chips, one probe a bus device."""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.hwmon_survey import ENERGETIC, SENTINELS, Chip, Draft, describe, find_chips, without_twins
from probes.model import Channel, Found, Problem, Reason, Rejection, Roots
from probes.sysfs import ValueFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PASSING = frozenset(
    {errno.EAGAIN, errno.ENODATA, errno.EIO, errno.ENXIO, errno.EBUSY, errno.ETIMEDOUT, errno.EINTR, errno.EPROTO}
)
"""What a working sensor may answer once at discovery: no value yet, or its bus was busy."""


class Sensor:
    """The open files of one channel: one, or a voltage's and a current's; their product / `divisor` is in SI units.

    `limit` is the largest plausible value, 0 if unknown; `counts` says that the file is an energy counter.
    """

    __slots__ = ("_counter", "_divisor", "_files", "_limit")

    def __init__(self, files: Sequence[ValueFile], divisor: float, limit: float = 0.0, *, counts: bool = False) -> None:
        self._files = tuple(files)
        self._divisor = divisor
        self._limit = limit
        # Kernel energy counters are 64 bits wide: they do not wrap, but a driver's reload starts them again.
        self._counter = Counter() if counts else None

    def read(self, at_ns: int) -> float | Reason:
        """Return the value in SI units, or why the reading is refused. Raises ReadError if a file gave nothing."""
        raw = 1
        for file in self._files:
            one = file.read()
            if one in SENTINELS or (one < 0 and self._counter):
                return Reason.SENTINEL
            raw *= one
        if self._counter:
            return self._counter.total / self._divisor if self._counter.advance(raw, at_ns) else Reason.RESET
        value = raw / self._divisor
        return Reason.IMPOSSIBLE if 0 < self._limit < value else value

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


class HwmonProbe:
    """The sensors of one bus device, counters first.

    `runtime_status` is the file that says whether the device sleeps, None if it has none.
    """

    files_only = True

    def __init__(self, name: str, sensors: Sequence[tuple[Channel, Sensor]], runtime_status: Path | None) -> None:
        self.name = name
        self.channels = tuple(channel for channel, _ in sensors)
        self.rejections: list[Rejection] = []
        self._sensors = tuple(sensor for _, sensor in sensors)
        self._status = -1
        if runtime_status:
            with contextlib.suppress(OSError):  # not to be seen, as in some containers: the device counts as awake
                self._status = os.open(runtime_status, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, at_ns: int) -> list[float]:
        """Return joules, watts and degrees Celsius; all NaN while the device sleeps, for a read would wake it.

        Raises DeviceLostError once every file says that its device is gone.
        """
        if self._sleeps():
            return [math.nan] * len(self._sensors)
        values = []
        refused = []
        gone = 0
        for position, sensor in enumerate(self._sensors):
            try:
                value = sensor.read(at_ns)
            except ReadError as error:
                gone += _errno(error) == errno.ENODEV
                value = Reason.READ_ERROR
            if isinstance(value, Reason):
                refused.append(Rejection(position, value))
                value = math.nan
            values.append(value)
        if gone == len(self._sensors):
            raise DeviceLostError(f"{self.name}: the device was removed")
        self.rejections += refused
        return values

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for sensor in self._sensors:
            sensor.close()
        if self._status >= 0:
            os.close(self._status)
            self._status = -1

    def _sleeps(self) -> bool:
        try:
            return self._status >= 0 and os.pread(self._status, 16, 0).startswith(b"suspended")
        except OSError:
            return False  # gone with its device: the sensors' own files will say so


def discover(roots: Roots) -> Found:
    """Find the chips below `roots.sysfs`/class/hwmon that measure power or energy, and prove each file with one read.

    A sleeping device is taken at its files' word, unread. Raises ProbeUnavailableError if no chip has such a file.
    """
    sysfs = Path(roots.sysfs)
    devices: dict[str, list[Chip]] = defaultdict(list)
    for chip in without_twins(find_chips(sysfs)):
        devices[chip.id].append(chip)
    drafts = {name: describe(sysfs, members) for name, members in devices.items()}
    if not any(drafts.values()):
        looked = f"{len(devices)} devices with hwmon chips looked at"
        raise ProbeUnavailableError(f"nothing below {sysfs}/class/hwmon measures power or energy ({looked})")
    probes = []
    problems: list[Problem] = []
    for name in sorted(drafts):
        chip = devices[name][0]
        sensors, failed = _open(drafts[name], prove=not chip.sleeps)
        problems += failed
        if any(channel.metric in ENERGETIC for channel, _ in sensors):
            probes.append(HwmonProbe(f"hwmon/{name}", sensors, chip.runtime_status))
            continue
        for _, sensor in sensors:
            sensor.close()
    return Found(tuple(probes), tuple(problems))


def _open(drafts: Iterable[Draft], *, prove: bool) -> tuple[list[tuple[Channel, Sensor]], list[Problem]]:
    """Open the drafts' files and read each once if `prove`; return the sensors that work and what the others lack."""
    opened = []
    problems = []
    denied: list[Path] = []
    for draft in drafts:
        files: list[ValueFile] = []
        try:
            for path in draft.paths:
                files.append(ValueFile(path))
                _prove(files[-1], prove=prove)
        except (OSError, ReadError) as error:
            for file in files:
                file.close()
            if isinstance(error, PermissionError):
                denied.append(path)
            elif draft.channel.metric in ENERGETIC:  # a temperature its driver does not support is no loss
                problems.append(Problem(str(path), str(error), "look into the kernel log (dmesg)"))
            continue
        channel = draft.channel
        counts = channel.metric == "energy_joules"
        opened.append((channel, Sensor(files, draft.divisor, channel.limit, counts=counts)))
    return opened, [*problems, *_denials(denied)]


def _prove(file: ValueFile, *, prove: bool) -> None:
    """Read a file once; raises ReadError unless it works or may work at the next beat."""
    if not prove:
        return
    try:
        file.read()
    except ReadError as error:
        if _errno(error) not in _PASSING:
            raise


def _denials(paths: Sequence[Path]) -> list[Problem]:
    """Say once a device what may not be read: a chip that counts cores has a hundred such files."""
    if not paths:
        return []
    more = f", nor {len(paths) - 1} more files beside it" if len(paths) > 1 else ""
    remedy = (
        "run as root, or let a group read it: `inferometer service install` puts a udev rule in place; "
        f"by hand: sudo chgrp inferometer {paths[0]} && sudo chmod g+r {paths[0]}"
    )
    return [Problem(str(paths[0]), f"permission denied to open it{more}", remedy)]


def _errno(error: ReadError) -> int:
    cause = error.__cause__
    return (cause.errno or 0) if isinstance(cause, OSError) else 0
