"""Reads the energy counters of Intel and AMD processors that the kernel shows as powercap zones.

Interface: the kernel's Documentation/power/powercap and drivers/powercap/intel_rapl_common.c. The position of a zone in
the tree does not identify its socket, so every zone is identified by its `name` file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.counter import NEVER, Counter
from probes.counter_bank import CounterBank
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.family import Family
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection, Roots
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, highest_limit_watts, max_watts
from probes.remedies import cause_of, is_denied, remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import ValueFile, ValueFiles, is_device_removed, open_value_file, read_int, read_label, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from probes.sysfs import IsolatedValueFile

FAMILY = Family(
    "rapl",
    "Intel and AMD processors (RAPL)",
    (Kind.CPU, Kind.MEMORY, Kind.HOST),
    reads="energy of packages, cores, graphics, memory and psys",
    method="energy counters of powercap",
    refresh="1 ms",
    privilege="root, or the group of the udev rule",
    remedy="`inferometer service install` puts a udev rule in place",
    tested_on=("captured trees of servers and clients",),
)
REFRESH_SECONDS = 0.001
"""The hardware updates its energy counters about every millisecond (Intel SDM, volume 3, RAPL interfaces)."""
RESOLUTION_JOULES = 2.0**-14
"""The usual energy unit, assumed if the range of a zone does not determine it."""
RESOLUTION_FROM_TO = (1e-6, 10.0)
"""The plausible energy units: server DRAM counts in 15.3 microjoules, psys of some servers in 1 J."""
NO_LIMIT_WATTS = 4095.0
"""A power limit of all bits set (15 bits of 1/8 W): firmware's value for no limit."""
_REGISTER_MOST = 2**32 - 1
_PACKAGE = re.compile(r"package-\d+(-die-\d+)?")
_MMIO_PREFIX = "intel-rapl-mmio"
_PSYS = re.compile(r"psys(-\d+)?")


@dataclass(frozen=True, slots=True)
class Zone:
    """One powercap zone: its folder, its own name and the name of its parent zone (empty at the top)."""

    folder: Path
    name: str
    parent: str

    @property
    def is_mmio_duplicate(self) -> bool:
        """Whether this is the memory-mapped view of a zone of the processor's registers."""
        return self.folder.name.startswith(_MMIO_PREFIX)

    @property
    def path_of_names(self) -> str:
        """The name of the zone after that of its parent zone."""
        return f"{self.parent}/{self.name or self.folder.name}"


class RaplProbe:
    """All readable zones of a host; one channel a zone, in joules, unwrapped at the zone's own range."""

    name = "rapl"
    files_only = True

    def __init__(
        self,
        zones: Sequence[tuple[Channel, ValueFile, Counter]],
        pread: Callable[[int, int, int], bytes] = os.pread,
    ) -> None:
        self.channels = tuple(channel for channel, _, _ in zones)
        self.rejections: list[Rejection] = []
        self._files = ValueFiles([file for _, file, _ in zones], pread)
        self._bank = CounterBank([counter for _, _, counter in zones], [1e6] * len(zones))

    def read(self, at_ns: int) -> list[float]:
        """Return joules per zone, NaN for those without a value.

        Raises ReadError if no zone could be read, DeviceLostError if all of them were removed.
        """
        microjoules, errors = self._files.read()
        if errors:
            self._refuse(errors)
        return self._bank.advance(microjoules, at_ns, self.rejections)

    def isolate(self) -> IsolatedValueFile | None:
        """Leave out the zone whose file hangs `read`, and return it; None if no read is in progress."""
        position = self._files.isolate()
        return None if position is None else self._files.isolated_file(position, (position,))

    def close(self) -> None:
        """Close every zone's file."""
        self._files.close()

    def _refuse(self, errors: Mapping[int, ReadError]) -> None:
        gone = {position for position, error in errors.items() if is_device_removed(error)}
        if len(gone) == len(self.channels):
            raise DeviceLostError("every RAPL zone was removed")
        self.rejections += [
            Rejection(position, Reason.DEVICE_LOST if position in gone else Reason.READ_ERROR) for position in errors
        ]
        if len(errors) == len(self.channels):
            raise errors[0]


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the zones below `roots.sysfs`/class/powercap and test each with one read."""
    zones = find_zones(Path(roots.sysfs) / "class/powercap")
    if not zones:
        if hidden := _hidden(Path(roots.sysfs) / "class/powercap"):
            return DiscoveryResult((), (hidden,))
        raise ProbeUnavailableError(
            f"no RAPL zones below {roots.sysfs}/class/powercap (virtual machines and containers usually have none)",
            "on bare metal: modprobe intel_rapl_msr",
        )
    if is_amd(read_text(Path(roots.procfs) / "cpuinfo") or ""):
        zones = [zone for zone in zones if zone.name != "core"]
    psys = min((zone.name for zone in zones if _PSYS.fullmatch(zone.name)), default="")
    described = [(zone, describe(zone, psys)) for zone in zones]
    kept, excluded = settings.select(RaplProbe.name, described, itemgetter(1))
    opened: list[tuple[Channel, ValueFile, Counter]] = []
    read: set[str] = set()
    failed: dict[Zone, Exception] = {}
    for zone, channel in kept:
        if zone.is_mmio_duplicate and zone.path_of_names in read:
            continue  # the memory-mapped duplicate shows the same counter again
        try:
            opened.append((channel, *_open(zone, channel)))
            read.add(zone.path_of_names)
        except (OSError, ReadError) as error:
            failed[zone] = error
    probes = (RaplProbe(opened),) if opened else ()
    lost = {zone: error for zone, error in failed.items() if zone.path_of_names not in read}
    return DiscoveryResult(probes, tuple(_problems(lost)), excluded)


def find_zones(powercap: Path) -> list[Zone]:
    """List the zones of the control types `intel-rapl` and `intel-rapl-mmio`, the duplicate last."""
    folders = sorted(
        (path for path in powercap.glob("intel-rapl*:*") if (path / "energy_uj").exists()),
        key=lambda path: (path.name.startswith(_MMIO_PREFIX), path.name),
    )
    names = {folder.name: read_label(folder / "name") for folder in folders}
    return [Zone(folder, names[folder.name], names.get(folder.name.rpartition(":")[0], "")) for folder in folders]


def is_amd(cpuinfo: str) -> bool:
    """Return whether /proc/cpuinfo's text describes an AMD (or Hygon) processor.

    Their `core` zone covers only the first core of a package, so it is not a domain of the package.
    """
    return "AuthenticAMD" in cpuinfo or "HygonGenuine" in cpuinfo


def describe(zone: Zone, psys: str = "") -> Channel:
    """Return the channel of a zone: its name determines its device, its domain and the containing energies.

    `psys` is the first zone of the whole platform, empty if there is none. If every package has one (`psys-1` beside
    `psys`, through TPMI), all cover the same platform, so the others count as part of the first.
    """
    highest = _range_microjoules(zone.folder)
    device, domain, within = _placed(zone)
    limit = PLAUSIBLE_LIMIT_FACTOR * _power_limit_watts(zone.folder, device.kind)
    outermost = ((psys, "psys"),) if psys and device.id != psys else ()
    return Channel(
        device,
        domain,
        "energy_joules",
        method="counter",
        refresh_seconds=REFRESH_SECONDS,
        resolution=resolution_joules(highest),
        contained_in=(*within, *outermost),
        max_plausible=limit,
        wraps_at=modulus_microjoules(highest) / 1e6,
    )


def _placed(zone: Zone) -> tuple[Device, str, tuple[tuple[str, str], ...]]:
    """Return the device and the domain of a zone and its containers, without psys."""
    if _PACKAGE.fullmatch(zone.name):
        return Device(zone.name, Kind.CPU), "package", ()
    if _PACKAGE.fullmatch(zone.parent):
        # Memory is a domain beside the package; cores and uncore are parts of it.
        within = () if zone.name == "dram" else ((zone.parent, "package"),)
        return Device(zone.parent, Kind.CPU), zone.name, within
    return Device(zone.name or zone.folder.name, Kind.BOARD), "psys", ()


def _power_limit_watts(folder: Path, kind: Kind) -> float:
    """Return the largest power limit of the zone, in watts; 0 if it has none.

    The limits of a disabled zone are not in force; the highest limit that its hardware supports still applies.
    """
    held = read_int(folder / "enabled") != 0
    found = [read_int(path) or 0 for path in folder.glob(f"constraint_*_{'*' if held else 'max_power'}_uw")]
    return highest_limit_watts((raw for raw in found if raw < NO_LIMIT_WATTS * 1e6), 1_000_000, kind)


def modulus_microjoules(range_microjoules: int) -> int:
    """Return the energy at which a zone's counter starts again from 0, one step above its highest value.

    The register has 32 bits, and `max_energy_range_uj` is its value with all of them set (ENERGY_STATUS_MASK in the
    kernel's drivers/powercap/intel_rapl_common.c). 0 if the zone states no range.
    """
    return range_microjoules + round(range_microjoules / _REGISTER_MOST)


def resolution_joules(range_microjoules: int) -> float:
    """Return the step of a zone's counter, from its range: the register behind it counts 2**32 - 1 steps."""
    least, most = RESOLUTION_FROM_TO
    step = range_microjoules / 1e6 / _REGISTER_MOST
    return step if least <= step <= most else RESOLUTION_JOULES


def _range_microjoules(folder: Path) -> int:
    return read_int(folder / "max_energy_range_uj") or 0


def _open(zone: Zone, channel: Channel) -> tuple[ValueFile, Counter]:
    file = open_value_file(zone.folder / "energy_uj")
    highest = _range_microjoules(zone.folder)
    counter = Counter(
        modulus_microjoules(highest),
        max_watts(channel) * 1e6,
        channel.refresh_seconds,
        all_ones=highest or NEVER,
        resolution=channel.resolution * 1e6,
    )
    return file, counter


def _hidden(powercap: Path) -> Problem | None:
    """Return the problem of zones whose links lead nowhere: container engines mask /sys/devices/virtual/powercap."""
    links = [path for path in sorted(powercap.glob("intel-rapl:*")) if path.is_symlink() and not path.exists()]
    if not links:
        return None
    reason = "their folders are hidden, as container engines do against power side channels"
    remedy = (
        "run on the host, or start the container with `--security-opt systempaths=unconfined` (Docker, Podman) or "
        "`procMount: Unmasked` (Kubernetes)"
    )
    return Problem(f"{len(links)} RAPL zones below {powercap}", reason, remedy)


def _problems(failed: Mapping[Zone, Exception]) -> Iterator[Problem]:
    """Yield one problem for all zones that only root may read, and one for each other zone."""
    denied = [zone for zone, error in failed.items() if is_denied(error)]
    if denied:
        yield _denial(denied)
    for zone, error in failed.items():
        if zone not in denied:
            path = zone.folder / "energy_uj"
            yield Problem(f"{zone.name or zone.folder.name} ({path})", cause_of(error, path), remedy_for(error))


def _denial(zones: Sequence[Zone]) -> Problem:
    names = ", ".join(dict.fromkeys(zone.name or zone.folder.name for zone in zones))
    first = zones[0].folder / "energy_uj"
    files = str(first) if len(zones) == 1 else str(first.parents[1] / "intel-rapl*:*/energy_uj")
    remedy = (
        "run as root, or let a group read it: `inferometer service install` puts a udev rule in place; "
        f"by hand: sudo chgrp inferometer {files} && sudo chmod 440 {files}"
    )
    reason = "only root may read it (since Linux 5.10, against power side channels)"
    return Problem(f"{names} ({files})", reason, remedy)
