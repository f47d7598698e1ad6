"""Reads the time for which heat throttled the processors.

Interfaces: the kernel's Documentation/admin-guide/thermal/intel_thermal_throttle.rst for Intel, and elsewhere the
statistics of cpufreq's cooling devices (Documentation/driver-api/thermal/sysfs-api.rst). Both are counters in the
kernel's memory, so a read wakes no core.
"""

from __future__ import annotations

import math
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.cpu.utilization import cpu_folder
from probes.errors import ReadError
from probes.model import Channel, Reason, Rejection, Roots
from probes.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from probes.cpu.utilization import Package
    from probes.model import Device

REFRESH_SECONDS = 1.0
INTEL, COOLING = "thermal_throttle", "cooling devices"
_MOST_MS_PER_SECOND = 1000.0
_MOST_BYTES = 4096
_STATE = re.compile(r"state(\d+)\s+(\d+)", re.ASCII)
_CPUFREQ = re.compile(r"cpufreq-cpu(\d+)")


def parse_states(text: str) -> dict[int, int]:
    """Return the milliseconds that a cooling device spent in each of its states. Raises ValueError if it lists none."""
    states = {int(state): int(milliseconds) for state, milliseconds in _STATE.findall(text)}
    if not states:
        raise ValueError("it lists no cooling state")
    return states


def cooled_milliseconds(text: str) -> int:
    """Return the time in all states of a cooling device but 0, which does not cool. Raises ValueError."""
    return sum(milliseconds for state, milliseconds in parse_states(text).items() if state)


class Clock:
    """One counter of throttled milliseconds, in a file that stays open; `parse` finds it in the text.

    A file that fails is opened again at the next read, since the core of a file may go offline and come back.
    """

    def __init__(self, path: Path, parse: Callable[[str], int]) -> None:
        self._path = path
        self._parse = parse
        self._counter = Counter(0, _MOST_MS_PER_SECOND, REFRESH_SECONDS)
        self._fd = -1
        self._failed = False

    @property
    def milliseconds(self) -> int:
        """The last accepted value; meaningless before the first one."""
        return self._counter.total

    def read(self, at_ns: int) -> Reason | None:
        """Count the present value; return the reason if it is rejected. Raises ReadError."""
        try:
            if self._fd < 0 or self._failed:
                self._open()
            found = self._parse(os.pread(self._fd, _MOST_BYTES, 0).decode("ascii", "replace"))
        except (OSError, ValueError) as error:
            self._failed = True
            raise ReadError(f"{self._path}: {error}") from error
        return self._counter.advance(found, at_ns)

    def _open(self) -> None:
        file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        self._fd, self._failed = file, False

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ThrottledTime:
    """The throttled time of one part of a package, combined from clocks that were read once."""

    def __init__(self, channel: Channel, clocks: Sequence[Clock], combine: Callable[[Iterable[int]], float]) -> None:
        self.channel = channel
        self.clocks = tuple(clocks)
        self._combine = combine

    def seconds(self, at_ns: int) -> float | Reason:
        """Return the seconds; the reason if no clock was accepted. One that fails shows its last value."""
        reasons: list[Reason | None] = []
        for clock in self.clocks:
            try:
                reasons.append(clock.read(at_ns))
            except ReadError:
                reasons.append(Reason.READ_ERROR)
        refused = [reason for reason in reasons if reason]
        if len(refused) == len(reasons):
            return refused[0]
        return self._combine(clock.milliseconds for clock in self.clocks) / 1000

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for clock in self.clocks:
            clock.close()


class ThrottleProbe:
    """The throttled time of each package: of its cores, and of the package as a whole."""

    name = "cpu/throttle"
    files_only = True

    def __init__(self, times: Sequence[ThrottledTime]) -> None:
        self.channels = tuple(each.channel for each in times)
        self.rejections: list[Rejection] = []
        self._times = tuple(times)

    def read(self, at_ns: int) -> list[float]:
        """Return seconds since the boot. Raises ReadError if no file answered."""
        found = [each.seconds(at_ns) for each in self._times]
        if all(value is Reason.READ_ERROR for value in found):
            raise ReadError(f"{self.name}: none of the files of {len(found)} parts can be read")
        refused = {position: value for position, value in enumerate(found) if isinstance(value, Reason)}
        self.rejections += [Rejection(position, reason) for position, reason in refused.items()]
        return [math.nan if isinstance(value, Reason) else value for value in found]

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for each in self._times:
            each.close()


def throttled_times(
    roots: Roots, packages: Sequence[Package], devices: Mapping[int, Device]
) -> Iterator[ThrottledTime]:
    """Yield the throttled times of each package that counts any; `devices` are the packages by number.

    The time of the cores is the mean of all, so that it does not exceed the time that passed. Each processor counts the
    slowdowns of its package as well, and the copies can differ: the largest counts.
    """
    sysfs = Path(roots.sysfs)
    cooling = dict(_cooling(sysfs))
    for package in packages:
        device = devices[package.number]
        folders = [cpu_folder(sysfs, cpu) / "thermal_throttle" for cpu in package.cores]
        cores = _working(folder / "core_throttle_total_time_ms" for folder in folders)
        if not cores:
            policies = _working((cooling[cpu] for cpu in package.cpus if cpu in cooling), cooled_milliseconds)
            yield from _time(device, "core", COOLING, policies, _mean)
            continue
        copies = _working(folder / "package_throttle_total_time_ms" for folder in folders)
        yield from _time(device, "core", INTEL, cores, _mean)
        yield from _time(device, "package", INTEL, copies, max)


def _time(
    device: Device, domain: str, method: str, clocks: Sequence[Clock], combine: Callable[[Iterable[int]], float]
) -> Iterator[ThrottledTime]:
    if clocks:
        channel = Channel(
            device,
            domain,
            "throttled_seconds",
            method=method,
            refresh_seconds=REFRESH_SECONDS,
            resolution=0.001,
            max_plausible=1.0,
        )
        yield ThrottledTime(channel, clocks, combine)


def _working(paths: Iterable[Path], parse: Callable[[str], int] = int) -> list[Clock]:
    """Return the clocks of those files that answer with a plausible value."""
    found = []
    for path in paths:
        clock = Clock(path, parse)
        with suppress(ReadError):
            if clock.read(0) is None:
                found.append(clock)
                continue
        clock.close()
    return found


def _cooling(sysfs: Path) -> Iterator[tuple[int, Path]]:
    """Yield the first processor of each cpufreq policy that is a cooling device, and the file of its states."""
    for folder in sorted((sysfs / "class/thermal").glob("cooling_device[0-9]*")):
        if match := _CPUFREQ.fullmatch(read_text(folder / "type") or ""):
            yield int(match[1]), folder / "stats/time_in_state_ms"


def _mean(values: Iterable[int]) -> float:
    found = tuple(values)
    return sum(found) / len(found)
