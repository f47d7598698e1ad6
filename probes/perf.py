"""Reads the energy counters of processors through perf, if powercap is not readable.

Interface: the kernel's arch/x86/events/rapl.c. The PMU `power` counts the domains of powercap, on one CPU of each
package, and `power_core` each core of an AMD processor. The counts have 64 bits and start at 0 when they are opened.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.counter_bank import CounterBank
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.family import Family, ServiceNeeds
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection, Roots
from probes.perf_events import SYSTEM, Event, PerfCounter, PerfSystem, Pmu, find_pmu
from probes.plausibility import max_watts
from probes.rapl import REFRESH_SECONDS, RESOLUTION_JOULES, Zone, find_zones
from probes.remedies import remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import is_device_removed, open_value_file, read_int

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PERF_REMEDY = (
    "run as root, or allow it with the capability CAP_PERFMON: `inferometer service install --enable perf` gives it to "
    "the service, `--cap-add PERFMON` to a container; for every user of the host: "
    "sudo sysctl kernel.perf_event_paranoid=0"
)
FAMILY = Family(
    "perf",
    "Processors through perf, if powercap is not readable",
    (Kind.CPU, Kind.BOARD),
    reads="energy of packages, cores, graphics, memory and psys",
    method="energy counters of the PMUs `power` and `power_core`",
    refresh="1 ms",
    privilege="CAP_PERFMON, or kernel.perf_event_paranoid of at most 0",
    remedy="`inferometer service install --enable perf` gives it to the service",
    service=ServiceNeeds(
        capabilities=("CAP_PERFMON",),
        system_calls=("perf_event_open",),
        risk="CAP_PERFMON allows the service to count the events of every process, not their energy alone",
    ),
    tested_on=("synthetic tree", "the system call on a real kernel, with the PMUs `msr` and `software`"),
)
_DOMAINS = {
    "energy-pkg": "package",
    "energy-cores": "core",
    "energy-gpu": "uncore",
    "energy-ram": "dram",
    "energy-psys": "psys",
}
_PARTS_OF_PACKAGE = frozenset({"core", "uncore"})
_PSYS = ("psys", "psys")


@dataclass(frozen=True, slots=True)
class Draft:
    """A channel whose counters are not open yet: the event, and the CPUs on which it is opened and added up."""

    channel: Channel
    pmu: Pmu
    event: Event
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sensor:
    """A channel and its open counters, whose sum is its energy in units of `joules`."""

    channel: Channel
    counters: tuple[PerfCounter, ...]
    joules: float

    def read(self) -> int:
        """Return the sum of the counts. Raises ReadError."""
        return sum(counter.read() for counter in self.counters)


class PerfProbe:
    """Energy counters of one PMU, in joules since they were opened."""

    files_only = True

    def __init__(self, name: str, sensors: Sequence[Sensor]) -> None:
        self.name = name
        self.channels = tuple(sensor.channel for sensor in sensors)
        self.rejections: list[Rejection] = []
        self._sensors = tuple(sensors)
        self._bank = CounterBank(
            [
                Counter(
                    0,
                    max_watts(each.channel) / each.joules,
                    REFRESH_SECONDS,
                    resolution=each.channel.resolution / each.joules,
                )
                for each in sensors
            ],
            [1 / sensor.joules for sensor in sensors],
        )

    def read(self, at_ns: int) -> list[float]:
        """Return joules. Raises ReadError if no counter could be read, DeviceLostError if all of them ended."""
        raws: list[int | None] = []
        errors: dict[int, ReadError] = {}
        for position, sensor in enumerate(self._sensors):
            try:
                raws.append(sensor.read())
            except ReadError as error:
                raws.append(None)
                errors[position] = error
        if len(errors) == len(raws) and all(map(is_device_removed, errors.values())):
            raise DeviceLostError(f"{self.name}: the kernel ended every counter")
        self.rejections += [
            Rejection(position, Reason.DEVICE_LOST if is_device_removed(error) else Reason.READ_ERROR)
            for position, error in errors.items()
        ]
        if len(errors) == len(raws):
            raise errors[0]
        return self._bank.advance(raws, at_ns, self.rejections)

    def close(self) -> None:
        """Close every counter."""
        for sensor in self._sensors:
            for counter in sensor.counters:
                counter.close()


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS, system: PerfSystem = SYSTEM) -> DiscoveryResult:
    """Find the PMUs of the processors, and open and read each counter once.

    Raises ProbeUnavailableError if there is none, or if powercap, which shows the same counters, is readable.
    """
    sysfs = Path(roots.sysfs)
    drafts = {name: tuple(_drafts(sysfs, name, system)) for name in ("power", "power_core")}
    if not any(drafts.values()):
        searched = f"no energy counters of processors below {sysfs}/bus/event_source/devices"
        raise ProbeUnavailableError(f"{searched} (the module rapl has them, and virtual machines have none)")
    zones = find_zones(sysfs / "class/powercap")
    if any(map(_is_readable, zones)):
        raise ProbeUnavailableError("powercap shows the same counters, and `rapl` reads them, so perf stays unused")
    probes = []
    problems = []
    excluded: frozenset[str] = frozenset()
    for pmu, found in drafts.items():
        kept, entries = settings.select(FAMILY.name, found, lambda draft: draft.channel)
        excluded |= entries
        sensors, failed = _opened(kept)
        problems += [
            replace(each, is_unreadable=not zones) for each in failed
        ]  # `rapl` reports its zones as unreadable
        if sensors:
            probes.append(PerfProbe(f"{FAMILY.name}/{pmu}", sensors))
    return DiscoveryResult(tuple(probes), tuple(problems), excluded)


def _is_readable(zone: Zone) -> bool:
    """Return whether this is the powercap zone of a package, and can be read."""
    if not zone.name.startswith("package-"):
        return False
    try:
        open_value_file(zone.folder / "energy_uj").close()
    except (OSError, ReadError):
        return False
    return True


def _drafts(sysfs: Path, name: str, system: PerfSystem) -> Iterator[Draft]:
    """Yield the channels of a PMU; the cores of a package are one channel."""
    try:
        pmu = find_pmu(sysfs, name, system)
    except ValueError:
        return
    if pmu is None:
        return
    numbers = {cpu: max(read_int(_topology(sysfs, cpu) / "physical_package_id") or 0, 0) for cpu in pmu.cpus}
    if name == "power":
        yield from _zones(sysfs, pmu, numbers)
    elif event := _joules(pmu, "energy-core"):
        for number in dict.fromkeys(numbers.values()):
            cpus = tuple(cpu for cpu, own in numbers.items() if own == number)
            yield Draft(_channel(f"package-{number}", "core"), pmu, event, cpus)


def _zones(sysfs: Path, pmu: Pmu, numbers: Mapping[int, int]) -> Iterator[Draft]:
    """Yield the domains of every package, or of every die if the PMU counts each die of a package."""
    events = [event for name in _DOMAINS if (event := _joules(pmu, name))]
    has_psys = any(event.name == "energy-psys" for event in events)
    packages = list(numbers.values())
    for position, (cpu, number) in enumerate(numbers.items()):
        die = f"-die-{read_int(_topology(sysfs, cpu) / 'die_id') or 0}" if packages.count(number) > 1 else ""
        for event in events:
            if position == 0 or event.name != "energy-psys":  # the counter of the platform belongs to the first package
                yield Draft(
                    _channel(f"package-{number}{die}", _DOMAINS[event.name], has_psys=has_psys), pmu, event, (cpu,)
                )


def _joules(pmu: Pmu, name: str) -> Event | None:
    event = pmu.event(name)
    return event if event and event.unit == "Joules" else None


def _topology(sysfs: Path, cpu: int) -> Path:
    return sysfs / f"devices/system/cpu/cpu{cpu}/topology"


def _channel(package: str, domain: str, *, has_psys: bool = False) -> Channel:
    """Return the channel of a domain; `has_psys` states that a counter of the whole platform exists."""
    within = [(package, "package")] if domain in _PARTS_OF_PACKAGE else []
    device = Device("psys", Kind.BOARD) if domain == "psys" else Device(package, Kind.CPU)
    if has_psys and domain != "psys":
        within.append(_PSYS)
    return Channel(
        device,
        domain,
        "energy_joules",
        method="counter",
        refresh_seconds=REFRESH_SECONDS,
        resolution=RESOLUTION_JOULES,
        contained_in=tuple(within),
    )


def _opened(drafts: Sequence[Draft]) -> tuple[list[Sensor], list[Problem]]:
    """Open and read the counters of each channel once; return the working sensors, and a problem for each cause."""
    working: list[Sensor] = []
    failed: dict[int, list[Draft]] = {}
    for draft in drafts:
        counters: list[PerfCounter] = []
        try:
            for cpu in draft.cpus:
                counters.append(draft.pmu.open(draft.event.name, draft.event.config, cpu))
                counters[-1].read()
        except (OSError, ReadError) as error:
            for counter in counters:
                counter.close()
            cause = error if isinstance(error, OSError) else error.__cause__
            failed.setdefault(getattr(cause, "errno", 0) or 0, []).append(draft)
            continue
        working.append(Sensor(draft.channel, tuple(counters), draft.event.scale))
    return working, [_problem(number, group) for number, group in failed.items()]


def _problem(number: int, drafts: Sequence[Draft]) -> Problem:
    """Return the problem of counters that could not be opened or read, all with the same error number."""
    places = ", ".join(dict.fromkeys(draft.channel.path for draft in drafts))
    reason = os.strerror(number) if number else "the kernel does not count it"
    remedy = PERF_REMEDY if number in {errno.EACCES, errno.EPERM} else remedy_for(OSError(number, reason))
    return Problem(f"{places} (perf PMU {drafts[0].pmu.name})", reason, remedy)
