"""Reads the power, energy and temperature attributes of the kernel's hwmon chips, one probe a bus device."""

from __future__ import annotations

import errno
import math
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from operator import attrgetter, ge, le, truediv
from pathlib import Path
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.counter_bank import CounterBank
from probes.deadline import NoAnswerError, within
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.hwmon.acpi_meters import silent_meters
from probes.hwmon.discovery import SensorDraft, describe, within_input
from probes.hwmon.folders import Chip, find_chips, without_duplicates
from probes.hwmon.twins import with_twins
from probes.model import ENERGY_METRICS, Channel, DiscoveryResult, Problem, Reason, Rejection, Roots
from probes.plausibility import BLANKS, check_gauge, max_watts, range_of
from probes.remedies import cause_of, is_denied, remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import RuntimeStatus, ValueFile, ValueFiles, errno_of, is_device_removed, no_answer, open_value_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from probes.sysfs import IsolatedValueFile

_TRANSIENT_ERRNOS = frozenset(
    {errno.EAGAIN, errno.ENODATA, errno.EIO, errno.ENXIO, errno.EBUSY, errno.ETIMEDOUT, errno.EINTR, errno.EPROTO}
)
"""Errors of a working sensor at discovery: no value yet, or a busy bus."""
DEVICE_SECONDS = 2.0
"""A device whose labels and limits cannot be read within this time counts as hanging and delays no other."""
MOST_HUNG_FILES = 4
"""A device with this number of unanswered files counts as hanging."""
MOST_HUNG_CALLS = 8
"""After this many unanswered files and devices no other is read: each leaves a thread behind and takes time."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One channel and its open files: one, or a voltage and a current, whose product / `divisor` is in SI units."""

    channel: Channel
    files: tuple[ValueFile, ...]
    divisor: float

    @property
    def counter(self) -> Counter | None:
        """The counter of its energy, None for a gauge.

        The kernel's energy counters have 64 bits and do not wrap, but they restart with the driver.
        """
        if self.channel.metric != "energy_joules":
            return None
        return Counter(0, max_watts(self.channel) * self.divisor, self.channel.refresh_seconds)


class HwmonProbe:
    """The sensors of one bus device, counters first.

    `runtime_status` is the file with the suspend state of the device, None if it has none; `pread` reads the sensors.
    """

    files_only = True

    def __init__(
        self,
        name: str,
        sensors: Sequence[Sensor],
        runtime_status: Path | None,
        pread: Callable[[int, int, int], bytes] = os.pread,
    ) -> None:
        self.name = name
        self.channels = tuple(sensor.channel for sensor in sensors)
        self.rejections: list[Rejection] = []
        self._files = ValueFiles([file for sensor in sensors for file in sensor.files], pread)
        counters = [counter for sensor in sensors if (counter := sensor.counter)]
        self._feeds = tuple(at for at, sensor in enumerate(sensors) for _ in sensor.files)
        self._counters = len(counters)  # each of them has one file
        self._bank = CounterBank(counters, [sensor.divisor for sensor in sensors[: len(counters)]])
        self._gauges = Gauges(sensors[len(counters) :], len(counters))
        self._status = RuntimeStatus(runtime_status)

    def read(self, at_ns: int) -> list[float]:
        """Return joules, watts and degrees Celsius; all NaN while the device is suspended: a read would wake it.

        Raises DeviceLostError if every file reports that its device was removed.
        """
        if self._status.is_suspended():
            return [math.nan] * len(self.channels)
        raws, errors = self._files.read()
        if errors:
            if len(errors) == len(raws) and all(map(is_device_removed, errors.values())):
                raise DeviceLostError(f"{self.name}: the device was removed")
            self.rejections += [Rejection(at, Reason.READ_ERROR) for at in errors if at < self._counters]
        joules = self._bank.advance(raws[: self._counters], at_ns, self.rejections)
        return joules + self._gauges.values(raws[self._counters :], self.rejections)

    def isolate(self) -> IsolatedValueFile | None:
        """Leave out the file in which `read` hangs, and return it; None if no read is in progress."""
        position = self._files.isolate()
        return None if position is None else self._files.isolated_file(position, (self._feeds[position],))

    def close(self) -> None:
        """Close every file; safe to call twice."""
        self._files.close()
        self._status.close()


class Gauges:
    """Converts the readings of gauges; `sensors` follow the first `counters` channels of a probe."""

    __slots__ = ("_channels", "_divisors", "_factors", "_first", "_highest", "_lowest")

    def __init__(self, sensors: Sequence[Sensor], counters: int) -> None:
        self._first = counters
        self._divisors = [sensor.divisor for sensor in sensors]
        self._channels = [sensor.channel for sensor in sensors]
        ranges = [range_of(channel) for channel in self._channels]
        self._lowest, self._highest = [low for low, _ in ranges], [high for _, high in ranges]
        starts = accumulate((len(sensor.files) for sensor in sensors), initial=0)
        self._factors = [
            range(start, start + len(sensor.files)) for sensor, start in zip(sensors, starts, strict=False)
        ]

    def values(self, raws: Sequence[int | None], rejections: list[Rejection]) -> list[float]:
        """Return a value in SI units for every gauge, NaN for each rejected one; append the reasons to `rejections`."""
        if None not in raws and len(raws) == len(self._divisors) and BLANKS.isdisjoint(raws):
            values = list(map(truediv, raws, self._divisors))
            if all(map(le, values, self._highest)) and all(map(ge, values, self._lowest)):
                return values
        return [self._validated(gauge, raws, rejections) for gauge in range(len(self._divisors))]

    def _validated(self, gauge: int, raws: Sequence[int | None], rejections: list[Rejection]) -> float:
        """Return one value, or NaN after noting the reason; a product of two files always takes this path."""
        factors = [raws[at] for at in self._factors[gauge]]
        known = [raw for raw in factors if raw is not None]
        if len(known) < len(factors):
            found: float | Reason = Reason.READ_ERROR
        elif not BLANKS.isdisjoint(known):
            found = Reason.SENTINEL
        else:
            found = check_gauge(self._channels[gauge], math.prod(known) / self._divisors[gauge])
        if isinstance(found, Reason):
            rejections.append(Rejection(self._first + gauge, found))
            return math.nan
        return found


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the chips below `roots.sysfs`/class/hwmon that measure power or energy, and test each file with one read.

    The files of a suspended or excluded device are not read. Raises ProbeUnavailableError if no chip has such a file.
    """
    sysfs = Path(roots.sysfs)
    devices: dict[str, list[Chip]] = defaultdict(list)
    excluded: frozenset[str] = frozenset()
    chips = without_duplicates(find_chips(sysfs))
    for chip in chips:
        entries = settings.exclusions(f"hwmon/{chip.id}", chip.id)
        excluded |= entries
        if not entries:
            devices[chip.id].append(chip)
    hung = _Hung()
    described, problems = _described(sysfs, devices, hung)
    drafts = with_twins(devices, within_input(described))
    silent = silent_meters(sysfs, chips)
    problems += [each for each in silent if not settings.exclusions(each.sensor, each.sensor.removeprefix("hwmon/"))]
    for name in drafts:
        drafts[name], entries = settings.select(f"hwmon/{name}", drafts[name], attrgetter("channel"))
        excluded |= entries
    if not problems and not excluded and not any(drafts.values()):
        searched = f"{len(devices)} devices with hwmon chips"
        raise ProbeUnavailableError(f"nothing below {sysfs}/class/hwmon measures power or energy ({searched})")
    probes = []
    for name in sorted(drafts):
        chip = devices[name][0]
        sensors, failed = _open(drafts[name], hung, prove=not chip.is_suspended)
        problems += failed
        if any(sensor.channel.metric in ENERGY_METRICS for sensor in sensors):
            probes.append(HwmonProbe(f"hwmon/{name}", sensors, chip.runtime_status))
            continue
        for file in (file for sensor in sensors for file in sensor.files):
            file.close()
    return DiscoveryResult(tuple(probes), tuple(problems), excluded)


@dataclass(slots=True)
class _Hung:
    """The number of files and devices that did not answer so far."""

    calls: int = 0

    @property
    def is_final(self) -> bool:
        """Whether nothing more is asked."""
        return self.calls >= MOST_HUNG_CALLS


def _described(
    sysfs: Path, devices: Mapping[str, Sequence[Chip]], hung: _Hung
) -> tuple[dict[str, list[SensorDraft]], list[Problem]]:
    """Return the drafts of each device, and a problem for each with unreadable labels, limits or intervals."""
    drafts: dict[str, list[SensorDraft]] = {}
    problems = []
    for name, members in devices.items():
        if hung.is_final:
            problems.append(_not_asked(f"hwmon/{name}", hung))
            continue
        try:
            drafts[name] = within(DEVICE_SECONDS, partial(describe, sysfs, members), f"survey-{name}")
        except NoAnswerError:
            reason = f"its labels and limits did not answer within {DEVICE_SECONDS:g} s"
            problems.append(Problem(f"hwmon/{name}", reason, remedy_for(no_answer())))
            hung.calls += 1
    return drafts, problems


def _not_asked(sensor: str, hung: _Hung) -> Problem:
    reason = f"it is not read, because {hung.calls} other files or devices of hwmon did not answer"
    return Problem(sensor, reason, remedy_for(no_answer()))


def _open(drafts: Sequence[SensorDraft], hung_calls: _Hung, *, prove: bool) -> tuple[list[Sensor], list[Problem]]:
    """Open the files of the drafts, read each once if `prove`, and return the working sensors and the problems.

    A device with several unanswered files counts as hanging; its remaining files are skipped.
    """
    working: list[Sensor] = []
    hung = 0
    problems = []
    denied: list[Path] = []
    for at, draft in enumerate(drafts):
        files: list[ValueFile] = []
        if hung_calls.is_final:
            problems.append(_not_asked(f"{draft.paths[0]} and {len(drafts) - at - 1} more", hung_calls))
            break
        if hung == MOST_HUNG_FILES:
            left = f"{hung} files of this device did not answer, so its {len(drafts) - at} other sensors are not read"
            problems.append(Problem(str(draft.paths[0].parent), left, remedy_for(no_answer())))
            break
        try:
            for path in draft.paths:
                files.append(open_value_file(path, _prove if prove else _skip_read))
        except (OSError, ReadError) as error:
            for file in files:
                file.close()
            is_hung = isinstance(error, ReadError) and errno_of(error) == errno.ETIMEDOUT
            hung += is_hung
            hung_calls.calls += is_hung
            if is_denied(error):
                denied.append(path)
            elif is_hung or draft.channel.metric in ENERGY_METRICS:  # an unsupported temperature is no loss
                problems.append(Problem(str(path), cause_of(error, path), remedy_for(error)))
            continue
        working.append(Sensor(draft.channel, tuple(files), draft.divisor))
    return working, [*problems, *_denials(denied)]


def _prove(file: ValueFile) -> None:
    """Read a file once. Raises ReadError if it can never work, not if the next read may."""
    try:
        file.read()
    except ReadError as error:
        if errno_of(error) not in _TRANSIENT_ERRNOS:
            raise


def _skip_read(_: ValueFile) -> None:
    """Read nothing: the device is suspended."""


def _denials(paths: Sequence[Path]) -> list[Problem]:
    """Return one problem for all unreadable files of a device: a chip that counts cores has a hundred of them."""
    if not paths:
        return []
    more = f" and {len(paths) - 1} more files beside it" if len(paths) > 1 else ""
    remedy = (
        "run as root, or let a group read it: `inferometer service install` puts a udev rule in place; "
        f"by hand: sudo chgrp inferometer {paths[0]} && sudo chmod g+r {paths[0]}"
    )
    return [Problem(str(paths[0]), f"permission denied to open it{more}", remedy)]
