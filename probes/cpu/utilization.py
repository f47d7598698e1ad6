"""Measures the busy share of the host's processors from /proc/stat (kernel: Documentation/filesystems/proc.rst).

The file stays open between reads, which is why no library parses it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from probes.errors import ReadError
from probes.sysfs import read_int, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from probes.model import Roots

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
"""The step of the times in /proc/stat."""
MOST_SAMPLED_CORES = 4
"""The number of cores of a package whose clock and idle states are read."""
_STAT_BYTES = 1 << 16


class Times(NamedTuple):
    """The time of one processor since boot by activity, in clock ticks; busy time includes guest time.

    Time stolen by a hypervisor is separate: it passed, but this processor did nothing in it.
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
    """Busy shares from 0 to 1 since the previous read, of the host and by package number; NaN if no time passed."""

    host: float
    packages: Mapping[int, float]


def parse_times(stat: bytes) -> dict[int, Times]:
    """Return the times of every logical processor in /proc/stat. Raises ValueError if a line has no times."""
    times = {}
    for line in stat.splitlines():
        if not line.startswith(b"cpu"):
            break
        name, *fields = line.split()
        if name == b"cpu":
            continue  # the sum of all, which includes offline processors
        user, nice, system, idle, *more = map(int, fields[:8])
        iowait, irq, softirq, stolen, *_ = (*more, 0, 0, 0, 0)
        times[int(name[3:])] = Times(user + nice + system + irq + softirq, idle, iowait, stolen)
    return times


def busy_share(before: Mapping[int, Times], after: Mapping[int, Times], cpus: Iterable[int]) -> float:
    """Return the busy share of the processors `cpus` between two readings, 0 to 1; NaN if no time passed.

    Idle and iowait may step back a little; such a step counts as 0. A processor that is in only one of the readings
    went online or offline in between and is left out.
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
    """Group logical processors by socket; without topology files all belong to package 0, each as its own core."""
    sockets: dict[int, dict[str, list[int]]] = {}
    for cpu in sorted(cpus):
        topology = cpu_folder(sysfs, cpu) / "topology"
        number = max(read_int(topology / "physical_package_id") or 0, 0)  # -1: unknown to the firmware
        core = read_text(topology / "core_cpus_list") or read_text(topology / "thread_siblings_list") or str(cpu)
        sockets.setdefault(number, {}).setdefault(core, []).append(cpu)
    return tuple(
        Package(number, tuple(sorted(chain(*cores.values()))), tuple(threads[0] for threads in cores.values()))
        for number, cores in sorted(sockets.items())
    )


def sampled_cores(package: Package) -> tuple[int, ...]:
    """Return at most `MOST_SAMPLED_CORES` cores of a package, spread over it."""
    return package.cores[:: math.ceil(len(package.cores) / MOST_SAMPLED_CORES)]


def cpu_folder(sysfs: Path, cpu: int) -> Path:
    """Return the sysfs folder of a logical processor."""
    return sysfs / f"devices/system/cpu/cpu{cpu}"


class Utilization:
    """Busy shares between two reads of /proc/stat; `packages` follows processors that go online or offline.

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
            raise ReadError(f"{self._path}: lists no processor")
        return times
