"""Finds the PCI devices of a driver, through a class of sysfs such as drm and accel, or through the driver itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.model import Device
from probes.sysfs import read_int, read_label, read_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from probes.model import Kind

_ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class DriverDevice:
    """A PCI device: its folder, the driver bound to it, and its entries in a class of sysfs, such as `card1`."""

    folder: Path
    driver: str
    entries: tuple[Path, ...]

    @property
    def address(self) -> str:
        """The address as the kernel writes it, such as `0000:03:00.0`: the identity that hwmon uses, too."""
        return self.folder.name.lower()

    @property
    def model(self) -> int:
        """The number of the model, 0 if the kernel does not show it."""
        return read_int(self.folder / "device") or 0

    @property
    def runtime_status(self) -> Path | None:
        """The file with the suspend state, None if there is none."""
        path = self.folder / "power/runtime_status"
        return path if path.is_file() else None

    @property
    def is_suspended(self) -> bool:
        """Whether the device sleeps, so that reading its sensors would wake it."""
        status = self.runtime_status
        return status is not None and read_text(status) == "suspended"

    def package(self, sysfs: Path) -> tuple[str, str]:
        """Return the (device, domain) of the processor package that the device belongs to, or is nearest to."""
        nearest = re.match(r"\d+", read_text(self.folder / "local_cpulist") or "")
        topology = sysfs / f"devices/system/cpu/cpu{nearest[0] if nearest else 0}/topology"
        return (f"package-{read_int(topology / 'physical_package_id') or 0}", "package")

    def has_hwmon(self, quantity: str) -> bool:
        """Return whether a chip of hwmon at or below this device measures a quantity (`power`, `energy`)."""
        readings = ("input", "average")
        return any(any(self.folder.glob(f"**/hwmon[0-9]*/{quantity}[0-9]*_{name}")) for name in readings)

    def as_device(self, kind: Kind, name: str = "", **attributes: str) -> Device:
        """Return the device with its driver, its address and further attributes, without the empty ones.

        Its name is that of its hwmon chip, else that of its driver, if none is given.
        """
        known = {"driver": self.driver, "pci_address": self.address, **attributes}
        chip = next((read_label(path) for path in sorted(self.folder.glob("hwmon/hwmon[0-9]*/name"))), "")
        found = tuple((key, text) for key, text in known.items() if text)
        return Device(self.address, kind, name or chip or self.driver, found)


def devices_of_class(sysfs: Path, name: str, drivers: Collection[str]) -> list[DriverDevice]:
    """Return the PCI devices with one of the `drivers` that have an entry in a class, in the order of their addresses.

    The numbers of the entries may change with every boot.
    """
    entries: dict[Path, list[Path]] = {}
    for entry in sorted((sysfs / "class" / name).glob("*")):
        folder = Path(os.path.realpath(entry / "device"))
        if _ADDRESS.fullmatch(folder.name) and driver_of(folder) in drivers:
            entries.setdefault(folder, []).append(entry)
    return [DriverDevice(folder, driver_of(folder), tuple(entries[folder])) for folder in sorted(entries)]


def devices_of_driver(sysfs: Path, driver: str) -> list[DriverDevice]:
    """Return the PCI devices that are bound to a driver, in the order of their addresses."""
    links = sorted((sysfs / "bus/pci/drivers" / driver).glob("*:*:*.*"))
    folders = (Path(os.path.realpath(link)) for link in links)
    return [DriverDevice(folder, driver, ()) for folder in folders if _ADDRESS.fullmatch(folder.name)]


def driver_of(folder: Path) -> str:
    """Return the name of the driver that is bound to a device, empty if there is none."""
    link = folder / "driver"
    return link.readlink().name if link.is_symlink() else ""


def address_in(text: str) -> str:
    """Return a PCI address as the kernel writes it (`0000:9d:00.0` for `00000000:9D:00.0`), empty for other text."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        return ""
    domain = int(match[1] or "0", 16)
    return f"{domain:04x}:{match[2]}:{match[3]}.{match[4]}".lower()
