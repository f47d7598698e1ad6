"""Reads the energy counters of Intel and AMD processors that the kernel shows as powercap zones.

Interface: the kernel's Documentation/power/powercap and drivers/powercap/intel_rapl_common.c. A zone's place in the
tree says nothing about which socket it is, so every zone is known by what its `name` file says.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from probes.counter import Counter
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Channel, Device, Found, Kind, Problem, Reason, Rejection, Roots
from probes.sysfs import ValueFile, read_int, read_text

REFRESH_SECONDS = 0.001
"""The hardware updates its energy counters about every millisecond (Intel SDM, volume 3, RAPL interfaces)."""
RESOLUTION_JOULES = 2.0**-14
"""The usual energy unit; server DRAM counts in finer steps."""
_PLAUSIBLE_TIMES_LIMIT = 4
_PACKAGE = re.compile(r"package-\d+(-die-\d+)?")
_PSYS = re.compile(r"psys(-\d+)?")
_PSYS_KEY = ("psys", "psys")


@dataclass(frozen=True, slots=True)
class Zone:
    """One powercap zone: its folder, its own name and the name of the zone it lies in (empty at the top)."""

    folder: Path
    name: str
    parent: str


class RaplProbe:
    """All readable zones of a host; one channel a zone, in joules, unwrapped by the zone's own range."""

    name = "rapl"
    files_only = True

    def __init__(self, zones: tuple[tuple[Channel, ValueFile, Counter], ...]) -> None:
        self.channels = tuple(channel for channel, _, _ in zones)
        self.rejections: list[Rejection] = []
        self._sensors = tuple((file, counter) for _, file, counter in zones)

    def read(self, at_ns: int) -> list[float]:
        """Return joules per zone; raises ReadError if no zone at all could be read."""
        values = []
        failure = None
        for position, (file, counter) in enumerate(self._sensors):
            try:
                counted = counter.advance(file.read(), at_ns)
            except ReadError as error:
                failure = error
                self.rejections.append(Rejection(position, Reason.READ_ERROR))
                values.append(math.nan)
                continue
            if not counted:
                self.rejections.append(Rejection(position, Reason.RESET))
            values.append(counter.total / 1e6 if counted else math.nan)
        if failure and len(self.rejections) >= len(values) and all(map(math.isnan, values)):
            raise failure
        return values

    def close(self) -> None:
        """Close every zone's file."""
        for file, _ in self._sensors:
            file.close()


def discover(roots: Roots) -> Found:
    """Find the zones below `roots.sysfs`/class/powercap and prove each with one read."""
    zones = find_zones(Path(roots.sysfs) / "class/powercap")
    if not zones:
        raise ProbeUnavailableError(
            f"no RAPL zones below {roots.sysfs}/class/powercap (virtual machines and containers usually have none)",
            "on bare metal: modprobe intel_rapl_msr",
        )
    if is_amd(read_text(Path(roots.procfs) / "cpuinfo") or ""):
        zones = [zone for zone in zones if zone.name != "core"]
    has_psys = any(_PSYS.fullmatch(zone.name) for zone in zones)
    readable: dict[tuple[str, str], tuple[Channel, ValueFile, Counter]] = {}
    problems = []
    for zone in zones:
        channel = describe(zone, has_psys=has_psys)
        key = (channel.device.id, channel.domain)
        if key in readable:
            continue  # the memory-mapped twin shows the same counter once more
        try:
            readable[key] = (channel, *_open(zone, channel))
        except (OSError, ReadError) as error:
            problems.append(_problem(zone, error))
    probes = (RaplProbe(tuple(readable.values())),) if readable else ()
    return Found(probes, tuple(p for p, key in problems if key not in readable))


def find_zones(powercap: Path) -> list[Zone]:
    """List the zones of the control types `intel-rapl` and `intel-rapl-mmio`, the twin last."""
    folders = sorted(
        (path for path in powercap.glob("intel-rapl*:*") if (path / "energy_uj").exists()),
        key=lambda path: (path.name.startswith("intel-rapl-mmio"), path.name),
    )
    names = {folder.name: read_text(folder / "name") or "" for folder in folders}
    return [Zone(folder, names[folder.name], names.get(folder.name.rpartition(":")[0], "")) for folder in folders]


def is_amd(cpuinfo: str) -> bool:
    """Tell whether /proc/cpuinfo's text is of an AMD (or Hygon) processor.

    Their `core` zone reads the first core of a package only, so it is no domain of the package.
    """
    return "AuthenticAMD" in cpuinfo or "HygonGenuine" in cpuinfo


def describe(zone: Zone, *, has_psys: bool) -> Channel:
    """Return the channel of a zone: what it covers by its name, and what its energy is contained in."""
    limit = _PLAUSIBLE_TIMES_LIMIT * _power_limit_watts(zone.folder)
    device, domain, within = _placed(zone)
    outermost = (_PSYS_KEY,) if has_psys and (device.id, domain) != _PSYS_KEY else ()
    return Channel(
        device,
        domain,
        "energy_joules",
        method="counter",
        refresh_seconds=REFRESH_SECONDS,
        resolution=RESOLUTION_JOULES,
        contained_in=(*within, *outermost),
        limit=limit,
    )


def _placed(zone: Zone) -> tuple[Device, str, tuple[tuple[str, str], ...]]:
    """Return the device and domain of a zone and what it is contained in, psys aside."""
    if _PACKAGE.fullmatch(zone.name):
        return Device(zone.name, Kind.CPU), "package", ()
    if _PACKAGE.fullmatch(zone.parent):
        # Memory has a domain of its own beside the package; cores and uncore are parts of it.
        within = () if zone.name == "dram" else ((zone.parent, "package"),)
        return Device(zone.parent, Kind.CPU), zone.name, within
    return Device(zone.name or zone.folder.name, Kind.BOARD), "psys", ()


def _power_limit_watts(folder: Path) -> float:
    """Return the largest power limit the zone names, in watts; 0 if it names none."""
    found = [read_int(path) or 0 for path in folder.glob("constraint_*_*_uw")]
    return max(found, default=0) / 1e6


def _open(zone: Zone, channel: Channel) -> tuple[ValueFile, Counter]:
    file = ValueFile(zone.folder / "energy_uj")
    try:
        file.read()
    except ReadError:
        file.close()
        raise
    return file, Counter(read_int(zone.folder / "max_energy_range_uj") or 0, channel.limit * 1e6)


def _problem(zone: Zone, error: Exception) -> tuple[Problem, tuple[str, str]]:
    channel = describe(zone, has_psys=False)
    if isinstance(error, PermissionError):
        reason = "only root may read it (since Linux 5.10, against power side channels)"
        remedy = (
            "run as root, or let a group read it: `inferometer service install` puts a udev rule in place; "
            f"by hand: sudo chgrp inferometer {zone.folder}/energy_uj && sudo chmod 440 {zone.folder}/energy_uj"
        )
    else:
        reason, remedy = str(error), "look into the kernel log (dmesg | grep -i rapl)"
    subject = f"{zone.name or zone.folder.name} ({zone.folder}/energy_uj)"
    return Problem(subject, reason, remedy), (channel.device.id, channel.domain)
