"""Reads the utilization, the clock, the idle states and the number of online cores of the processors.

Clocks come from cpufreq's `scaling_cur_freq`, else from /proc/cpuinfo. Reading the clock of a running core can
interrupt it, and a host has hundreds of cores, so clocks and idle states are those of at most four cores of a package.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from itertools import chain
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.cpu.idle import IdleStates
from probes.cpu.model import parse_cpuinfo
from probes.cpu.throttle import ThrottleProbe, throttled_times
from probes.cpu.uncore import discover_uncore
from probes.cpu.utilization import TICK_SECONDS, Package, Utilization, cpu_folder, sampled_cores
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Kind, Reason, Rejection, Roots
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import ValueFile, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CPUINFO_BYTES = 1 << 13  # the first cores suffice, and the kernel formats no more than the bytes read


def parse_clocks(cpuinfo: str) -> dict[int, float]:
    """Return the clock of each processor in /proc/cpuinfo's text that states one, in hertz. Raises ValueError."""
    clocks: dict[int, float] = {}
    cpu = 0
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.startswith("processor"):
            cpu = int(value)
        elif key.startswith("cpu MHz"):
            clocks[cpu] = float(value) * 1e6
    return {cpu: hertz for cpu, hertz in clocks.items() if math.isfinite(hertz)}


class Clocks:
    """Clock frequencies, averaged over the sampled cores of each package."""

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
        """Read the cores that are online now from here on."""
        self._close_files()
        self._asked = {package.number: sampled_cores(package) for package in packages}
        for cpu in chain(*self._asked.values()):
            with suppress(OSError):
                self._files[cpu] = ValueFile(cpu_folder(self._sysfs, cpu) / "cpufreq/scaling_cur_freq")

    def hertz(self) -> dict[int, float]:
        """Return the mean clock in hertz by package number, without the packages that report none."""
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
            with suppress(ReadError):  # a core that just went offline; the others still report
                clocks[cpu] = file.read() * 1000.0
        return clocks

    def _from_cpuinfo(self) -> dict[int, float]:
        with suppress(OSError, ValueError):  # also if there is no such file
            text = os.pread(self._cpuinfo, _CPUINFO_BYTES, 0).decode(errors="replace")
            return parse_clocks(text[: text.rfind("\n")])
        return {}


class CpuProbe:
    """Utilization of the host, and utilization, clock, online cores and idle states of each package."""

    name = "cpu"
    files_only = True

    def __init__(
        self,
        utilization: Utilization,
        clocks: Clocks,
        idle: IdleStates,
        channels: Sequence[tuple[Channel, int | None]],
    ) -> None:
        self.channels = tuple(channel for channel, _ in channels)
        self.rejections: list[Rejection] = []
        self._plan = tuple((channel.metric, channel.domain, number) for channel, number in channels)
        self._utilization = utilization
        self._packages = utilization.packages
        self._clocks = clocks
        self._idle = idle

    def read(self, at_ns: int) -> list[float]:  # noqa: ARG002 - the kernel's own ticks are the time base here
        """Return ratios, hertz, counts and seconds; utilization is NaN at the first read. Raises ReadError."""
        shares = self._utilization.advance()
        if self._utilization.packages is not self._packages:
            self._packages = self._utilization.packages
            self._clocks.follow(self._packages)
            self._idle.follow(self._packages)
        hertz, idle = self._clocks.hertz(), self._idle.seconds()
        cores = {package.number: len(package.cores) for package in self._packages}
        values = []
        for position, (metric, domain, number) in enumerate(self._plan):
            match metric, number:
                case _, None:
                    value: float | None = shares.host
                case "utilization_ratio", _:
                    value = shares.packages.get(number, math.nan)
                case "cores", _:
                    value = float(cores.get(number, 0))
                case "idle_seconds", _:
                    value = idle.get((number, domain))
                case _:
                    value = hertz.get(number)
            if value is None:
                self.rejections.append(Rejection(position, Reason.READ_ERROR))
            values.append(math.nan if value is None else value)
        return values

    def close(self) -> None:
        """Close every file."""
        self._utilization.close()
        self._clocks.close()
        self._idle.close()


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the processors of the host. Raises ProbeUnavailableError if /proc/stat cannot be read."""
    try:
        utilization = Utilization(roots)
    except (OSError, ReadError) as error:
        reason = f"cannot read the utilization of the processors: {error}"
        raise ProbeUnavailableError(reason, "mount proc, or set its path") from error
    sysfs = Path(roots.sysfs)
    clocks, idle = Clocks(roots, utilization.packages), IdleStates(sysfs, utilization.packages)
    cpu = parse_cpuinfo(read_text(Path(roots.procfs) / "cpuinfo") or "")
    name = cpu.brand or cpu.microarchitecture
    devices = {package.number: _device(package, name) for package in utilization.packages}
    channels = _channels(utilization.packages, clocks, idle, devices)
    kept, excluded = settings.select(CpuProbe.name, channels, itemgetter(0))
    times = tuple(throttled_times(roots, utilization.packages, devices))
    throttled, more = settings.select(ThrottleProbe.name, times, attrgetter("channel"))
    for each in times:
        if each not in throttled:
            each.close()
    uncore = discover_uncore(sysfs, settings)
    probe = CpuProbe(utilization, clocks, idle, kept)
    found = (*((probe,) if kept else ()), *((ThrottleProbe(throttled),) if throttled else ()), *uncore.probes)
    if not kept:
        probe.close()
    return DiscoveryResult(found, uncore.problems, excluded | more | uncore.excluded)


def _device(package: Package, name: str) -> Device:
    attributes = (("cores", str(len(package.cores))), ("threads", str(len(package.cpus))))
    return Device(f"package-{package.number}", Kind.CPU, name, attributes)


def _channels(
    packages: Sequence[Package], clocks: Clocks, idle: IdleStates, devices: Mapping[int, Device]
) -> Iterator[tuple[Channel, int | None]]:
    """Yield the channels of the host (package None) and of each package, with the number of the package."""
    clocked, states = clocks.hertz(), idle.seconds()
    yield _utilization_of(Device("host", Kind.HOST), "host"), None
    for package in packages:
        device = devices[package.number]
        yield _utilization_of(device, "package"), package.number
        if package.number in clocked:
            method = clocks.method
            yield Channel(device, "package", "frequency_hertz", method=method, resolution=1000.0), package.number
        yield Channel(device, "package", "cores", method="topology", resolution=1.0), package.number
        for number, domain in states:
            if number == package.number:
                yield _idle_time_of(device, domain), number


def _utilization_of(device: Device, domain: str) -> Channel:
    return Channel(device, domain, "utilization_ratio", method="ticks", refresh_seconds=TICK_SECONDS)


def _idle_time_of(device: Device, domain: str) -> Channel:
    """Return the channel of an idle state, which grows by at most one second a second."""
    return Channel(device, domain, "idle_seconds", method="cpuidle", resolution=1e-6, max_plausible=1.0)
