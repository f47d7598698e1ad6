"""Reads how busy the processors are, how fast their clocks run and how many cores are online.

Busy time comes from /proc/stat (kernel: Documentation/filesystems/proc.rst), parsed here because the file stays open
and the roots are the caller's. Clocks come from cpufreq's `scaling_cur_freq`, else from /proc/cpuinfo. Asking a running
core for its clock can interrupt it, so at most four cores of a package are asked, spread over the package.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from probes.cpu.model import parse_cpuinfo
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Kind, Reason, Rejection, Roots
from probes.sysfs import ValueFile, read_int, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
"""The step in which /proc/stat counts."""
MOST_CLOCKS = 4
"""How many cores of a package are asked for their clock."""
_STAT_BYTES = 1 << 16
_CPUINFO_BYTES = 1 << 13  # the first cores are enough; the kernel writes the text of no more than are asked for


class Times(NamedTuple):
    """What one processor did since boot, in clock ticks; guest time is within busy time, as the kernel counts it.

    Time stolen by a hypervisor is kept apart: it passed, but this processor did nothing in it.
    """

    busy: int
    idle: int
    iowait: int
    stolen: int


@dataclass(frozen=True, slots=True)
class Package:
    """One socket: its number, its online logical processors and the first of each of its online cores."""

    number: int
    cpus: tuple[int, ...]
    cores: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """Busy shares 0 to 1 since the previous read, of the host and by package number; NaN where no time passed."""

    host: float
    packages: Mapping[int, float]


def parse_times(stat: bytes) -> dict[int, Times]:
    """Return the times of every logical processor /proc/stat names. Raises ValueError if a line has no times."""
    times = {}
    for line in stat.splitlines():
        if not line.startswith(b"cpu"):
            break
        name, *fields = line.split()
        if name == b"cpu":
            continue  # the sum of all: the kernel keeps in it what offline processors did
        user, nice, system, idle, *more = map(int, fields[:8])
        iowait, irq, softirq, stolen, *_ = (*more, 0, 0, 0, 0)
        times[int(name[3:])] = Times(user + nice + system + irq + softirq, idle, iowait, stolen)
    return times


def busy_share(before: Mapping[int, Times], after: Mapping[int, Times], cpus: Iterable[int]) -> float:
    """Return the busy share of the processors `cpus` between two readings, 0 to 1; NaN if no time passed.

    Idle and iowait may go backwards by a little; a step back counts as none. A processor that is in only one of the
    readings came or went in between and is left out.
    """
    busy = total = 0
    for cpu in cpus:
        old, new = before.get(cpu), after.get(cpu)
        if old is None or new is None:
            continue
        worked = max(new.busy - old.busy, 0)
        rested = max(new.idle - old.idle, 0) + max(new.iowait - old.iowait, 0) + max(new.stolen - old.stolen, 0)
        busy, total = busy + worked, total + worked + rested
    return busy / total if total else math.nan


def packages_of(sysfs: Path, cpus: Iterable[int]) -> tuple[Package, ...]:
    """Group logical processors by socket; without topology files all are package 0, each its own core."""
    sockets: dict[int, dict[str, list[int]]] = {}
    for cpu in sorted(cpus):
        topology = _folder(sysfs, cpu) / "topology"
        number = max(read_int(topology / "physical_package_id") or 0, 0)  # -1: the firmware does not say
        core = read_text(topology / "core_cpus_list") or read_text(topology / "thread_siblings_list") or str(cpu)
        sockets.setdefault(number, {}).setdefault(core, []).append(cpu)
    return tuple(
        Package(number, tuple(sorted(chain(*cores.values()))), tuple(threads[0] for threads in cores.values()))
        for number, cores in sorted(sockets.items())
    )


class Utilization:
    """Busy shares between one read of /proc/stat and the next; `packages` follows processors that come and go.

    Raises OSError or ReadError on construction if the file cannot be read.
    """

    def __init__(self, roots: Roots) -> None:
        self._sysfs = Path(roots.sysfs)
        self._path = Path(roots.procfs) / "stat"
        self._size = _STAT_BYTES
        self._before: dict[int, Times] = {}
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._online = self._read().keys()
        except ReadError:
            self.close()
            raise
        self.packages = packages_of(self._sysfs, self._online)

    def advance(self) -> Shares:
        """Return the shares since the previous call, NaN at the first. Raises ReadError."""
        before, after = self._before, self._read()
        self._before = after
        if after.keys() != self._online:
            self._online = after.keys()
            self.packages = packages_of(self._sysfs, self._online)
        return Shares(
            busy_share(before, after, after),
            {package.number: busy_share(before, after, package.cpus) for package in self.packages},
        )

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> dict[int, Times]:
        try:
            while len(text := os.pread(self._fd, self._size, 0)) == self._size:
                self._size *= 2  # a full buffer may have cut the text short
            times = parse_times(text)
        except (OSError, ValueError) as error:
            raise ReadError(f"{self._path}: {error}") from error
        if not times:
            raise ReadError(f"{self._path}: names no processor")
        return times


def parse_clocks(cpuinfo: str) -> dict[int, float]:
    """Return the clock of each processor in /proc/cpuinfo's text that states one, in hertz. Raises ValueError."""
    clocks = {}
    cpu = 0
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.startswith("processor"):
            cpu = int(value)
        elif key.startswith("cpu MHz"):
            clocks[cpu] = float(value) * 1e6
    return clocks


class Clocks:
    """Clock frequencies, the mean of at most `MOST_CLOCKS` cores of each package."""

    def __init__(self, roots: Roots, packages: Sequence[Package]) -> None:
        self._sysfs = Path(roots.sysfs)
        self._files: dict[int, ValueFile] = {}
        self.follow(packages)
        self.method = "cpufreq" if self._files else "cpuinfo"
        self._cpuinfo = -1
        if not self._files:
            with suppress(OSError):
                self._cpuinfo = os.open(Path(roots.procfs) / "cpuinfo", os.O_RDONLY | os.O_CLOEXEC)

    def follow(self, packages: Sequence[Package]) -> None:
        """Ask the cores that are online now."""
        self._close_files()
        self._asked = {package.number: _spread(package.cores) for package in packages}
        for cpu in chain(*self._asked.values()):
            with suppress(OSError):
                self._files[cpu] = ValueFile(_folder(self._sysfs, cpu) / "cpufreq/scaling_cur_freq")

    def hertz(self) -> dict[int, float]:
        """Return the mean clock by package number, in hertz, of the packages that gave one."""
        clocks = self._from_cpufreq() if self.method == "cpufreq" else self._from_cpuinfo()
        given = {number: [clocks[cpu] for cpu in cores if cpu in clocks] for number, cores in self._asked.items()}
        return {number: sum(hertz) / len(hertz) for number, hertz in given.items() if hertz}

    def close(self) -> None:
        """Close every file; safe to call twice."""
        self._close_files()
        if self._cpuinfo >= 0:
            os.close(self._cpuinfo)
            self._cpuinfo = -1

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def _from_cpufreq(self) -> dict[int, float]:
        clocks = {}
        for cpu, file in self._files.items():
            with suppress(ReadError):  # a core that just went offline: the others still tell
                clocks[cpu] = file.read() * 1000.0
        return clocks

    def _from_cpuinfo(self) -> dict[int, float]:
        with suppress(OSError, ValueError):  # also where there is no such file
            text = os.pread(self._cpuinfo, _CPUINFO_BYTES, 0).decode(errors="replace")
            return parse_clocks(text[: text.rfind("\n")])
        return {}


class CpuProbe:
    """Utilization of the host, and utilization, clock and online cores of each package."""

    name = "cpu"
    files_only = True

    def __init__(
        self, utilization: Utilization, clocks: Clocks, channels: Sequence[tuple[Channel, int | None]]
    ) -> None:
        self.channels = tuple(channel for channel, _ in channels)
        self.rejections: list[Rejection] = []
        self._plan = tuple((channel.metric, number) for channel, number in channels)
        self._utilization = utilization
        self._packages = utilization.packages
        self._clocks = clocks

    def read(self, at_ns: int) -> list[float]:  # noqa: ARG002 - the kernel's own ticks are the time base here
        """Return ratios, hertz and counts; utilization is NaN at the first read. Raises ReadError."""
        shares = self._utilization.advance()
        if self._utilization.packages is not self._packages:
            self._packages = self._utilization.packages
            self._clocks.follow(self._packages)
        hertz = self._clocks.hertz()
        cores = {package.number: len(package.cores) for package in self._packages}
        values = []
        for position, (metric, number) in enumerate(self._plan):
            match metric, number:
                case _, None:
                    values.append(shares.host)
                case "utilization_ratio", _:
                    values.append(shares.packages.get(number, math.nan))
                case "cores", _:
                    values.append(float(cores.get(number, 0)))
                case _:
                    values.append(hertz.get(number, math.nan))
                    if number not in hertz:
                        self.rejections.append(Rejection(position, Reason.READ_ERROR))
        return values

    def close(self) -> None:
        """Close every file."""
        self._utilization.close()
        self._clocks.close()


def discover(roots: Roots) -> DiscoveryResult:
    """Find the processors of the host; raises ProbeUnavailableError if /proc/stat cannot be read."""
    try:
        utilization = Utilization(roots)
    except (OSError, ReadError) as error:
        reason = f"cannot read how busy the processors are: {error}"
        raise ProbeUnavailableError(reason, "mount proc, or set where it is mounted") from error
    clocks = Clocks(roots, utilization.packages)
    clocked = clocks.hertz()
    cpu = parse_cpuinfo(read_text(Path(roots.procfs) / "cpuinfo") or "")
    channels: list[tuple[Channel, int | None]] = [(_utilization_of(Device("host", Kind.HOST), "host"), None)]
    for package in utilization.packages:
        attributes = (("cores", str(len(package.cores))), ("threads", str(len(package.cpus))))
        device = Device(f"package-{package.number}", Kind.CPU, cpu.brand or cpu.microarchitecture, attributes)
        channels.append((_utilization_of(device, "package"), package.number))
        if package.number in clocked:
            clock = Channel(device, "package", "frequency_hertz", method=clocks.method, resolution=1000.0)
            channels.append((clock, package.number))
        channels.append((Channel(device, "package", "cores", method="topology", resolution=1.0), package.number))
    return DiscoveryResult((CpuProbe(utilization, clocks, channels),))


def _utilization_of(device: Device, domain: str) -> Channel:
    return Channel(device, domain, "utilization_ratio", method="ticks", refresh_seconds=TICK_SECONDS)


def _folder(sysfs: Path, cpu: int) -> Path:
    return sysfs / f"devices/system/cpu/cpu{cpu}"


def _spread(cores: Sequence[int]) -> tuple[int, ...]:
    return tuple(cores[:: math.ceil(len(cores) / MOST_CLOCKS)])
