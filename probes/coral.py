"""Coral Edge TPUs on PCI Express: temperature. No source of their power or load exists.

Interface: the driver apex (gasket): /sys/class/apex/apex_N/temp in thousandths of a degree.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probes.attributes import Attribute, AttributeProbe, open_attributes, parse_number
from probes.errors import ProbeUnavailableError
from probes.family import Family
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.pci import pci_devices
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.pci import PciDevice

FAMILY = Family(
    "coral",
    "Coral Edge TPUs",
    (Kind.NPU,),
    reads="temperature; no power exists",
    method="file of the driver apex",
    refresh="that of the driver",
    tested_on=("synthetic tree",),
)
_VENDOR = 0x1AC1


def parse_millidegrees(raw: bytes) -> float | None:
    """Return a temperature in degrees Celsius, None if there is none."""
    number = parse_number(raw)
    return None if number is None else number / 1000


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the devices of the driver apex, and test each file with one read.

    Raises ProbeUnavailableError if there is none.
    """
    sysfs = Path(roots.sysfs)
    found = [(pci, folder) for pci in pci_devices(sysfs, _VENDOR) for folder in _apex(pci)]
    if not found:
        raise ProbeUnavailableError(f"no device of the driver apex is below {sysfs}/bus/pci/devices")
    probes: list[AttributeProbe] = []
    problems: list[Problem] = []
    excluded: frozenset[str] = frozenset()
    for pci, folder in found:
        name = f"coral/{pci.address}"
        device = Device(pci.address, Kind.NPU, "Coral Edge TPU", (("driver", "apex"), ("pci_address", pci.address)))
        channel = Channel(device, "chip", "temperature_celsius", resolution=0.001)
        entries = settings.exclusions(name, device.id, channel.domain)
        excluded |= entries
        if not entries:
            wanted = [Attribute("temp", channel, parse_millidegrees)]
            opened = open_attributes(folder, wanted, problems, prove=not pci.is_suspended)
            probes += [AttributeProbe(name, opened, pci.runtime_status)] if opened else []
    return DiscoveryResult(tuple(probes), tuple(problems), excluded)


def _apex(pci: PciDevice) -> list[Path]:
    """Return the folder of the driver's character device, in a list."""
    return sorted((pci.folder / "apex").glob("apex_[0-9]*"))[:1]
