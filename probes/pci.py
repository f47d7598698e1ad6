"""Lists the PCI devices of a vendor (kernel: Documentation/ABI/testing/sysfs-bus-pci)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from probes.sysfs import read_int, read_text

_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PciDevice:
    """One function of a PCI device: its address in lower case, its folder, numbers and driver (empty without one)."""

    address: str
    folder: Path
    vendor: int
    device: int
    pci_class: int
    driver: str

    @property
    def runtime_status(self) -> Path | None:
        """The file with the kernel's suspend state of the device, None if there is none."""
        path = self.folder / "power/runtime_status"
        return path if path.is_file() else None

    @property
    def is_suspended(self) -> bool:
        """Whether the kernel has suspended the device, so that reading its sensors would wake it."""
        path = self.runtime_status
        return path is not None and read_text(path) == "suspended"

    @property
    def bridge(self) -> str:
        """The address of the bridge or switch above the device, empty if it is on a root bus."""
        return self.folder.parent.name.lower() if _ADDRESS.fullmatch(self.folder.parent.name) else ""


def pci_devices(sysfs: Path, *vendors: int) -> tuple[PciDevice, ...]:
    """Return the functions of these vendors below `sysfs`/bus/pci/devices, by address."""
    try:
        links = sorted((sysfs / "bus/pci/devices").iterdir())
    except OSError:
        return ()
    wanted = (link for link in links if _ADDRESS.fullmatch(link.name) and read_int(link / "vendor") in vendors)
    return tuple(described(Path(os.path.realpath(link))) for link in wanted)


def nearest_package(sysfs: Path, folder: Path) -> int | None:
    """Return the number of the processor package that is nearest to a device, None if the kernel does not show it."""
    first = re.match(r"\d+", read_text(folder / "local_cpulist") or "")
    return read_int(sysfs / f"devices/system/cpu/cpu{first[0]}/topology/physical_package_id") if first else None


def described(folder: Path) -> PciDevice:
    """Return the device with this folder; numbers that the kernel does not show are 0."""
    try:
        driver = (folder / "driver").readlink().name
    except OSError:
        driver = ""
    vendor, number, pci_class = (read_int(folder / name) or 0 for name in ("vendor", "device", "class"))
    return PciDevice(folder.name.lower(), folder, vendor, number, pci_class, driver)
