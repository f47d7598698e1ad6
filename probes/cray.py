"""Reads the counters of HPE Cray EX nodes: energy and power of the node and its parts, measured by its controller.

Interface: /sys/cray/pm_counters, as in HPE's "User Access to Compute Node Power Data". All files are of one scan of the
controller, about ten a second, and each line ends in the time of the scan on the controller's clock. `freshness`
changes with every scan, and `startup` if the counters started again.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.deadline import NoAnswerError, within
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.family import Family
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection, Roots
from probes.plausibility import check_gauge, max_watts
from probes.remedies import cause_of, remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import is_device_removed, no_answer, read_int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FAMILY = Family(
    "cray",
    "HPE Cray EX nodes (pm_counters)",
    (Kind.HOST,),
    reads="energy and power of the node, its processors, memory and accelerators",
    method="energy counters of the node controller, with their time stamps",
    refresh="0.1 s",
    tested_on=("tree with the values of a capture (CEEMS)", "synthetic tree of a node with four GH200"),
)
_DEVICE = Device("pm_counters", Kind.HOST, "Cray node controller")
_NODE = "node"
_QUANTITIES: Mapping[str, tuple[str, str]] = {
    "energy": ("energy_joules", "J"),
    "power": ("power_watts", "W"),
    "power_cap": ("power_limit_watts", "W"),
    "temp": ("temperature_celsius", "C"),
}
"""The metric and the unit of each quantity in the name of a file, after the part of the node."""
_FILE = re.compile(r"(?:(cpu|memory|accel|cpu\d+|accel\d+)_)?(energy|power|power_cap|temp)")
_LINE = re.compile(rb"(\d{1,18}) ([JWC]) (\d{1,18}) us\n?")
_BYTES = 128
_OPEN_SECONDS = 2.0
_SCAN_HERTZ = 10
_MOST_SCAN_HERTZ = 1000
_MOST_SCANS_LATE = 10
_MOST_TRIES = 3
_DRIFT = 10_000
"""The clocks of host and controller differ by less than one part in this number."""


@dataclass(frozen=True, slots=True)
class Line:
    """One file's content: the number, its unit (J, W or C), and the time of its scan in nanoseconds."""

    number: int
    unit: str
    stamp_ns: int


def parse_line(raw: bytes) -> Line | None:
    """Return the content of a file, such as b"873 W 1734094386462336 us"; None for another text."""
    match = _LINE.fullmatch(raw)
    return match and Line(int(match[1]), match[2].decode(), int(match[3]) * 1000)


class ScanClock:
    """Converts the times of scans to the host's monotonic clock.

    The newest scan is at most one `period_ns` old when it is read. The smallest distance between a scan's time stamp
    and its read is therefore the difference of the clocks, plus at most one period.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._distance_ns: int | None = None
        self._at_ns = 0

    def interval_ns(self, stamp_ns: int, at_ns: int) -> tuple[int, int]:
        """Return the interval of the scan `stamp_ns`, which was new at `at_ns`, on the monotonic clock."""
        distance_ns = at_ns - stamp_ns
        known_ns = self._distance_ns
        if known_ns is not None and distance_ns - known_ns < _MOST_SCANS_LATE * self._period_ns:
            distance_ns = min(distance_ns, known_ns + (at_ns - self._at_ns) // _DRIFT)
        self._distance_ns, self._at_ns = distance_ns, at_ns
        end_ns = stamp_ns + distance_ns
        return end_ns - self._period_ns, end_ns


class CrayProbe:
    """The counters of the node; `taken_ns` is the time of the scan that the last read showed."""

    name = FAMILY.name
    files_only = True

    def __init__(
        self,
        folder: Path,
        channels: Sequence[tuple[Channel, str]],
        pread: Callable[[int, int, int], bytes] = os.pread,
    ) -> None:
        self.channels = tuple(channel for channel, _ in channels)
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self._pread = pread
        self._paths = [folder / file for _, file in channels]
        self._units = [_QUANTITIES[quantity_of(file)][1] for _, file in channels]
        self._counters = {
            position: Counter(0, max_watts(channel), channel.refresh_seconds, resolution=channel.resolution)
            for position, channel in enumerate(self.channels)
            if channel.metric == "energy_joules"
        }
        self._clock = ScanClock(round(1e9 / _scan_hertz(folder)))
        self._startup = b""
        self._scan: tuple[bytes, int] = (b"", 0)
        self._last_end_ns = 0
        self._descriptors: list[int] = []
        for path in (*self._paths, folder / "freshness", folder / "startup"):
            try:
                self._descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                self.close()
                raise

    def read(self, at_ns: int) -> list[float]:
        """Return the values of a new scan; all NaN, and `taken_ns` None, if there is no new one.

        Raises ReadError if nothing could be read, DeviceLostError if the driver was removed.
        """
        self.taken_ns = None
        freshness, startup, lines = self._consistent()
        stamp_ns = max((line.stamp_ns for line in lines if line), default=0)
        nothing = [math.nan] * len(self.channels)
        if stamp_ns and (freshness == self._scan[0] or stamp_ns == self._scan[1]):
            return nothing
        restarted, self._startup = startup != self._startup != b"", startup
        if stamp_ns:
            self._scan = freshness, stamp_ns
            taken_ns = self._clock.interval_ns(stamp_ns, at_ns)
            if taken_ns[1] <= self._last_end_ns:
                return nothing  # the controller's clock was set back; the next scan has its new time
            self.taken_ns, self._last_end_ns = taken_ns, taken_ns[1]
        else:
            self.taken_ns = at_ns, at_ns
        return [
            self._checked(position, line, self.taken_ns[1], restarted=restarted) for position, line in enumerate(lines)
        ]

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def _consistent(self) -> tuple[bytes, bytes, list[Line | None]]:
        """Return freshness, startup and every line of one scan. Raises ReadError if each try saw two scans."""
        *files, of_scan, of_start = self._descriptors
        for _ in range(_MOST_TRIES):
            before = self._text(of_scan)
            lines = self._lines(files)
            if self._text(of_scan) == before:
                return before, self._text(of_start), lines
        raise ReadError(f"{self.name}: the controller wrote a new scan during each of {_MOST_TRIES} reads")

    def _lines(self, files: Iterable[int]) -> list[Line | None]:
        """Return the lines of all files, None for each without a value. Raises if none could be read."""
        lines: list[Line | None] = []
        errors = []
        for descriptor, unit in zip(files, self._units, strict=True):
            try:
                line = parse_line(self._text(descriptor))
            except ReadError as error:
                errors.append(error)
                line = None
            lines.append(line if line and line.unit == unit else None)
        if errors and len(errors) == len(lines):
            if all(map(is_device_removed, errors)):
                raise DeviceLostError(f"{self.name}: the driver of the counters was removed")
            raise errors[0]
        return lines

    def _text(self, descriptor: int) -> bytes:
        try:
            return self._pread(descriptor, _BYTES, 0)
        except OSError as error:
            raise ReadError(f"{self.name}: {error.strerror or error}") from error

    def _checked(self, position: int, line: Line | None, at_ns: int, *, restarted: bool) -> float:
        """Return a value, NaN after noting the reason; a power limit of 0 is no limit."""
        channel = self.channels[position]
        found: float | Reason
        if line is None:
            found = Reason.READ_ERROR
        elif counter := self._counters.get(position):
            advance = counter.restart if restarted and counter.raw >= 0 else counter.advance
            found = advance(line.number, at_ns) or float(counter.total)
        elif channel.metric == "power_limit_watts" and not line.number:
            return math.nan
        else:
            found = check_gauge(channel, float(line.number))
        if isinstance(found, Reason):
            self.rejections.append(Rejection(position, found))
            return math.nan
        return found


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the counters below `roots.sysfs`/cray/pm_counters. Raises ProbeUnavailableError if there are none."""
    folder = Path(roots.sysfs) / "cray/pm_counters"
    files = sorted((path.name for path in folder.glob("*") if _FILE.fullmatch(path.name)), key=_order)
    if not files:
        raise ProbeUnavailableError(f"no counters below {folder} (only HPE Cray nodes have them)")
    kept, excluded = settings.select(
        FAMILY.name, [(_channel(file, files), file) for file in files], lambda pair: pair[0]
    )
    if not kept:
        return DiscoveryResult(excluded=excluded)
    try:
        probe = within(_OPEN_SECONDS, lambda: CrayProbe(folder, kept), f"open-{folder}", CrayProbe.close)
    except (OSError, NoAnswerError) as error:
        refused = error if isinstance(error, OSError) else no_answer()
        path = Path(refused.filename or folder)
        return DiscoveryResult((), (Problem(str(path), cause_of(refused, path), remedy_for(refused)),), excluded)
    return DiscoveryResult((probe,), (), excluded)


def quantity_of(file: str) -> str:
    """Return the quantity in the name of a file: energy, power, power_cap or temp."""
    match = _FILE.fullmatch(file)
    return match[2] if match else ""


def _part_of(file: str) -> str:
    """Return the domain of a file: `node`, `cpu`, `cpu-0`, `memory`, `accel-0`."""
    match = _FILE.fullmatch(file)
    return re.sub(r"(?<=[a-z])(?=\d)", "-", match[1]) if match and match[1] else _NODE


def _order(file: str) -> tuple[int, bool, str]:
    return list(_QUANTITIES).index(quantity_of(file)), _part_of(file) != _NODE, file


def _channel(file: str, files: Iterable[str]) -> Channel:
    """Return the channel of a file. The node contains its parts, and the processors' own file each processor."""
    domain = _part_of(file)
    metric, _ = _QUANTITIES[quantity_of(file)]
    parts = {_part_of(each) for each in files}
    outer = ["cpu", _NODE] if domain.startswith("cpu-") else [_NODE]
    return Channel(
        _DEVICE,
        domain,
        metric,
        method="counter" if metric == "energy_joules" else "instant",
        refresh_seconds=1 / _SCAN_HERTZ,
        resolution=1.0,
        contained_in=tuple((_DEVICE.id, part) for part in outer if part in parts and part != domain),
    )


def _scan_hertz(folder: Path) -> int:
    """Return the scans per second that the controller states, if it is plausible."""
    stated = read_int(folder / "raw_scan_hz") or 0
    return stated if 1 <= stated <= _MOST_SCAN_HERTZ else _SCAN_HERTZ
