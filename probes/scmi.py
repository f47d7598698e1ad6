"""Reads the power of Arm servers that their firmware (SCMI) shows as powercap zones; such a zone counts no energy.

Interface: the kernel's Documentation/power/powercap and drivers/powercap/arm_scmi_powercap.c. The same firmware may
show its sensors as the hwmon chip `scmi_sensors`, which the family hwmon reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import ProbeUnavailableError, ReadError
from probes.family import Family
from probes.hwmon.chips import plain_domain
from probes.hwmon.folders import find_chips
from probes.hwmon.probe import HwmonProbe, Sensor
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, highest_limit_watts
from probes.remedies import cause_of, remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import open_value_file, read_int, read_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FAMILY = Family(
    "scmi",
    "Arm servers (SCMI powercap)",
    (Kind.BOARD,),
    reads="power of the zones that the firmware limits",
    method="average power of powercap",
    refresh="the averaging time of the zone",
    tested_on=("synthetic tree",),
)
_DEVICE = Device("arm-scmi", Kind.BOARD, "SCMI powercap")
_CHIP = "scmi_sensors"
_MICROWATTS = 1_000_000
_LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Zone:
    """One powercap zone of the firmware: its folder, its domain and that of its parent zone, empty at the top."""

    folder: Path
    domain: str
    parent: str


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the zones below `roots.sysfs`/class/powercap and read each once. Raises ProbeUnavailableError."""
    sysfs = Path(roots.sysfs)
    zones = find_zones(sysfs / "class/powercap")
    if not zones:
        raise ProbeUnavailableError(f"no SCMI zones below {sysfs}/class/powercap (only some Arm servers have them)")
    sensed = frozenset(_sensed(sysfs))
    drafts = [(zone, describe(zone, sensed)) for zone in zones]
    kept, excluded = settings.select(FAMILY.name, drafts, lambda draft: draft[1])
    sensors = []
    problems = []
    for zone, channel in kept:
        path = zone.folder / "power_uw"
        try:
            sensors.append(Sensor(channel, (open_value_file(path),), _MICROWATTS))
        except (OSError, ReadError) as error:
            problems.append(Problem(f"{channel.path} ({path})", cause_of(error, path), remedy_for(error)))
    probes = (HwmonProbe(FAMILY.name, sensors, None),) if sensors else ()
    return DiscoveryResult(probes, tuple(problems), excluded)


def find_zones(powercap: Path) -> list[Zone]:
    """List the zones of the control type `arm-scmi` that show power; zones of one name are numbered."""
    folders = sorted((path for path in powercap.glob("arm-scmi:*") if (path / "power_uw").exists()), key=_indices)
    domains: dict[str, str] = {}
    for folder in folders:
        domain = name = plain_domain(_CHIP, read_label(folder / "name"), folder.name.replace(":", "-"))
        copy = 1
        while domain in domains.values():
            copy += 1
            domain = f"{name}-{copy}"
        domains[folder.name] = domain
    return [Zone(path, domains[path.name], domains.get(path.name.rpartition(":")[0], "")) for path in folders]


def describe(zone: Zone, sensed: Iterable[tuple[str, str]]) -> Channel:
    """Return the channel of a zone; `sensed` are the (device, domain) pairs that hwmon reads from the same firmware.

    A zone is the same quantity as the sensor of its name. No file states what a sensor of another name covers, so an
    outermost zone without a namesake counts as a part of all: it is shown and never added to them.
    """
    twins = tuple(place for place in sensed if place[1] == zone.domain)
    outer = ((_DEVICE.id, zone.parent),) if zone.parent else tuple(sorted(sensed)) if not twins else ()
    seconds = (read_int(zone.folder / "constraint_0_time_window_us") or 0) / 1e6
    limits = (read_int(path) for path in zone.folder.glob("constraint_*_uw"))
    return Channel(
        _DEVICE,
        zone.domain,
        "power_watts",
        method="average",
        refresh_seconds=seconds if 0 < seconds <= _LONGEST_SECONDS else 0.0,
        resolution=1 / _MICROWATTS,
        contained_in=(*twins, *outer),
        max_plausible=PLAUSIBLE_LIMIT_FACTOR * highest_limit_watts(limits, _MICROWATTS, _DEVICE.kind),
    )


def _sensed(sysfs: Path) -> Iterator[tuple[str, str]]:
    """Yield the places of the power and energy that the firmware's hwmon chips show."""
    for chip in find_chips(sysfs):
        if chip.name == _CHIP:
            for stem in (
                f"{quantity}{number}" for quantity in ("energy", "power") for number in chip.indices(quantity)
            ):
                yield chip.id, plain_domain(_CHIP, chip.text(f"{stem}_label"), stem)


def _indices(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r":(\d+)", folder.name)]
