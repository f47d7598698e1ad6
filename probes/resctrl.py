"""Reads the energy of cores by group of tasks, which Intel's Application Energy Telemetry counts (Linux 7.0 or later).

Interface: the kernel's Documentation/filesystems/resctrl.rst. Groups are read as they exist: none is created, no task
is moved, nothing is written. A group that appears later is found at the next discovery.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.counter_bank import CounterBank
from probes.cpu.model import parse_cpuinfo
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.family import Family
from probes.model import (
    TASK_COUNTER,
    Channel,
    Device,
    DiscoveryResult,
    Kind,
    Problem,
    Reason,
    Rejection,
    Roots,
)
from probes.plausibility import max_watts
from probes.rapl import find_zones
from probes.remedies import cause_of, remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import ValueFile, is_device_removed, open_value_file, read_text
from probes.text import decoded, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FAMILY = Family(
    "resctrl",
    "Groups of tasks on Intel processors (resctrl)",
    (Kind.CPU,),
    reads="core energy of every resctrl group, for each package",
    method="energy counters of Application Energy Telemetry (Linux 7.0, Clearwater Forest)",
    refresh="unknown",
    privilege="a mounted resctrl, as root",
    remedy="mount -t resctrl resctrl /sys/fs/resctrl",
    tested_on=("synthetic tree",),
)
MOST_GROUPS = 64
"""The number of groups that are read."""
_PROCESSORS = frozenset({"Clearwater Forest"})
_EVENT = "core_energy"
_FEATURES = "info/PERF_PKG_MON/mon_features"
_PACKAGE = re.compile(r"mon_PERF_PKG_(\d{1,4})")
_NO_GROUPS = frozenset({"info", "mon_data", "mon_groups"})
_JOULES = re.compile(rb"(\d{1,12})(?:\.(\d{1,9}))?\n?")
_LONGEST_VALUE = 64
_DIGITS = 9
_PER_JOULE = 10**_DIGITS
_DEFAULT = "core-group"
"""The domain of the default group, which has the tasks of every monitoring group in it too."""


def parse_joules(raw: bytes) -> int | None:
    """Return the nanojoules of a counter file, such as b"8123.022030"; None for another text ("Unavailable")."""
    match = _JOULES.fullmatch(raw)
    if match is None:
        return None
    whole, fraction = match.groups(b"")
    return int(whole + fraction.ljust(_DIGITS, b"0")[:_DIGITS])


@dataclass(frozen=True, slots=True)
class Group:
    """One resctrl group: its domain, its folder, and the domain of the group that counts its tasks as well."""

    domain: str
    folder: Path
    outer: str = ""


class ResctrlProbe:
    """The core energy of every group and package, in joules; each counter file stays open."""

    name = "resctrl"
    files_only = True

    def __init__(
        self, files: Sequence[tuple[Channel, ValueFile]], pread: Callable[[int, int, int], bytes] = os.pread
    ) -> None:
        self.channels = tuple(channel for channel, _ in files)
        self.rejections: list[Rejection] = []
        self._files = [file for _, file in files]
        self._pread = pread
        counters = [Counter(0, max_watts(channel) * _PER_JOULE) for channel in self.channels]
        self._bank = CounterBank(counters, [float(_PER_JOULE)] * len(files))

    def read(self, at_ns: int) -> list[float]:
        """Return joules, NaN for a group without a value now.

        Raises ReadError if no file could be read, DeviceLostError if every group was removed.
        """
        raws: list[int | None] = []
        errors: dict[int, ReadError] = {}
        for position, file in enumerate(self._files):
            try:
                raws.append(self._nanojoules(file))
            except ReadError as error:
                raws.append(None)
                errors[position] = error
        gone = {position for position, error in errors.items() if is_device_removed(error)}
        if len(gone) == len(self.channels):
            raise DeviceLostError("every resctrl group was removed")
        self.rejections += [
            Rejection(position, Reason.DEVICE_LOST if position in gone else Reason.READ_ERROR) for position in errors
        ]
        if len(errors) == len(self.channels):
            raise next(iter(errors.values()))
        return self._bank.advance(raws, at_ns, self.rejections)

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for file in self._files:
            file.close()

    def _nanojoules(self, file: ValueFile) -> int:
        try:
            raw = self._pread(file.fileno(), _LONGEST_VALUE, 0)
        except OSError as error:
            raise ReadError(f"{file.path}: {error.strerror or error}") from error
        if (found := parse_joules(raw)) is None:
            raise ReadError(f"{file.path}: {decoded(raw)!r} is not a number of joules")
        return found


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the groups below `roots.sysfs`/fs/resctrl. Raises ProbeUnavailableError if the kernel counts no energy."""
    resctrl = Path(roots.sysfs) / "fs/resctrl"
    if _EVENT not in (read_text(resctrl / _FEATURES) or "").split():
        raise ProbeUnavailableError(
            f"{resctrl / _FEATURES} has no {_EVENT}: the processor or the kernel counts no energy of groups, "
            "or resctrl is not mounted",
            f"with Linux 7.0 or later: {FAMILY.remedy}" if _is_able(roots) else "",
        )
    found = list(find_groups(resctrl))
    problems = []
    if len(found) > MOST_GROUPS:
        reason = f"only the first {MOST_GROUPS} of {len(found)} groups are read"
        problems.append(Problem(str(resctrl), reason, "remove the groups that are not needed", is_unreadable=False))
    zones = [zone.name for zone in find_zones(Path(roots.sysfs) / "class/powercap")]
    drafts = [draft for group in found[:MOST_GROUPS] for draft in _drafts(group, zones)]
    kept, excluded = settings.select(ResctrlProbe.name, drafts, lambda draft: draft[0])
    files = []
    for channel, path in kept:
        try:
            files.append((channel, open_value_file(path, _prove)))
        except (OSError, ReadError) as error:
            problems.append(Problem(f"{channel.path} ({path})", cause_of(error, path), remedy_for(error)))
    return DiscoveryResult((ResctrlProbe(files),) if files else (), tuple(problems), excluded)


def _is_able(roots: Roots) -> bool:
    """Return whether the processor is one that counts the energy of groups."""
    return parse_cpuinfo(read_text(Path(roots.procfs) / "cpuinfo") or "").microarchitecture in _PROCESSORS


def _prove(file: ValueFile) -> None:
    """Read a counter once. Raises ReadError if the kernel refuses; "Unavailable" may become a value later."""
    try:
        os.pread(file.fileno(), _LONGEST_VALUE, 0)
    except OSError as error:
        raise ReadError(f"{file.path}: {error.strerror or error}") from error


def find_groups(resctrl: Path) -> Iterator[Group]:
    """Yield the default group, its monitoring groups, and the control groups, each with its own monitoring groups.

    A group with control counts the tasks of its monitoring groups too; control groups do not contain one another.
    """
    yield Group(_DEFAULT, resctrl)
    yield from _monitoring(resctrl, _DEFAULT)
    for folder in _folders(resctrl):
        if folder.name not in _NO_GROUPS and (folder / "mon_data").is_dir():
            domain = f"core-control-{_plain(folder.name)}"
            yield Group(domain, folder)
            yield from _monitoring(folder, domain)


def _monitoring(folder: Path, outer: str) -> Iterator[Group]:
    for group in _folders(folder / "mon_groups"):
        prefix = outer if outer == _DEFAULT else f"{outer}-group"
        yield Group(f"{prefix}-{_plain(group.name)}", group, outer)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _plain(name: str) -> str:
    return re.sub(r"\s+", "-", one_line(name))


def _drafts(group: Group, zones: Sequence[str]) -> Iterator[tuple[Channel, Path]]:
    """Yield the channel of a group for each package, a part of the package; `zones` are the names of RAPL's zones.

    If RAPL counts the dies of a package apart, the energy is in one of them.
    """
    for folder in _folders(group.folder / "mon_data"):
        if match := _PACKAGE.fullmatch(folder.name):
            package = f"package-{int(match[1])}"
            wholes = [package, *(zone for zone in zones if zone.startswith(f"{package}-die-"))]
            within = [(package, group.outer)] if group.outer else []
            within += [(whole, "package") for whole in wholes]
            channel = Channel(
                Device(package, Kind.CPU),
                group.domain,
                "energy_joules",
                method=TASK_COUNTER,
                resolution=1e-6,
                contained_in=tuple(within),
            )
            yield channel, folder / _EVENT
