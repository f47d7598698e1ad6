"""Finds the PCI devices of a driver, through a class of sysfs such as drm and accel, or through the driver itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.model import Device
from probes.pci import PciDevice, described, nearest_package
from probes.sysfs import read_label

if TYPE_CHECKING:
    from collections.abc import Collection

    from probes.model import Kind

_ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class DriverDevice:
    """A PCI device with a driver, and its entries in a class of sysfs, such as `card1`."""

    pci: PciDevice
    entries: tuple[Path, ...] = ()

    def package(self, sysfs: Path) -> tuple[str, str]:
        """Return the (device, domain) of the processor package that the device belongs to, or is nearest to."""
        return (f"package-{nearest_package(sysfs, self.pci.folder) or 0}", "package")

    def has_hwmon(self, quantity: str) -> bool:
        """Return whether a chip of hwmon at or below this device measures a quantity (`power`, `energy`)."""
        readings = ("input", "average")
        return any(any(self.pci.folder.glob(f"**/hwmon[0-9]*/{quantity}[0-9]*_{name}")) for name in readings)

    def as_device(self, kind: Kind, name: str = "", **attributes: str) -> Device:
        """Return the device with its driver, its address and further attributes, without the empty ones.

        Its name is that of its hwmon chip, else that of its driver, if none is given.
        """
        known = {"driver": self.pci.driver, "pci_address": self.pci.address, **attributes}
        chip = next((read_label(path) for path in sorted(self.pci.folder.glob("hwmon/hwmon[0-9]*/name"))), "")
        found = tuple((key, text) for key, text in known.items() if text)
        return Device(self.pci.address, kind, name or chip or self.pci.driver, found)


def devices_of_class(sysfs: Path, name: str, drivers: Collection[str]) -> list[DriverDevice]:
    """Return the PCI devices with one of the `drivers` that have an entry in a class, in the order of their addresses.

    The numbers of the entries may change with every boot.
    """
    entries: dict[Path, list[Path]] = {}
    for entry in sorted((sysfs / "class" / name).glob("*")):
        entries.setdefault(Path(os.path.realpath(entry / "device")), []).append(entry)
    found = ((described(folder), entries[folder]) for folder in sorted(entries) if _ADDRESS.fullmatch(folder.name))
    return [DriverDevice(pci, tuple(listed)) for pci, listed in found if pci.driver in drivers]


def devices_of_driver(sysfs: Path, driver: str) -> list[DriverDevice]:
    """Return the PCI devices that are bound to a driver, in the order of their addresses."""
    links = sorted((sysfs / "bus/pci/drivers" / driver).glob("*:*:*.*"))
    folders = (Path(os.path.realpath(link)) for link in links)
    return [DriverDevice(described(folder)) for folder in folders if _ADDRESS.fullmatch(folder.name)]


def address_in(text: str) -> str:
    """Return a PCI address as the kernel writes it (`0000:9d:00.0` for `00000000:9D:00.0`), empty for other text."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        return ""
    domain = int(match[1] or "0", 16)
    return f"{domain:04x}:{match[2]}:{match[3]}.{match[4]}".lower()
