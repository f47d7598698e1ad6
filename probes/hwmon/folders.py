"""Finds the hwmon chips of the host and their attribute files, and a Jetson's monitors that have no hwmon folder.

The bus device identifies a chip; the number of its hwmon folder may change with every boot.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from probes.sysfs import read_int, read_label, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.IGNORECASE)
_OTHER_BUS = re.compile(r"i2c-\d+|usb\d+")
_RAIL = re.compile(r"rail_name_(\d+)|in_power(\d+)_input")
IIO_MONITOR = "ina3221x"
"""The driver of a Jetson's power monitors before JetPack 5."""
_HID_INSTANCE = re.compile(r"[0-9A-F]{4}:[0-9A-F]{4}:[0-9A-F]{4}\.[0-9A-F]{4}")


@dataclass(frozen=True, slots=True)
class Chip:
    """One hwmon folder: its name and number, its attribute files by name, and its bus device.

    `pci` is the folder of the PCI device that contains the chip, None if there is none.
    """

    name: str
    number: int
    files: Mapping[str, Path]
    bus: Path
    pci: Path | None

    @property
    def id(self) -> str:
        """The identity of the bus device: its PCI address, else the name of its folder."""
        if self.pci:
            return self.pci.name.lower()
        # The name of a HID device ends in a count of plug-ins; the USB port above it is stable.
        return self.bus.parent.name if _HID_INSTANCE.fullmatch(self.bus.name) else self.bus.name

    @property
    def runtime_status(self) -> Path | None:
        """The file with the suspend state of the PCI device, None if there is none."""
        path = self.pci / "power/runtime_status" if self.pci else None
        return path if path and path.is_file() else None

    @property
    def is_suspended(self) -> bool:
        """Whether the device is suspended, so that reading its sensors or limits would wake it."""
        path = self.runtime_status
        return path is not None and read_text(path) == "suspended"

    def indices(self, quantity: str) -> list[int]:
        """Return the numbers N of the enabled readings quantityN of this chip."""
        form = "(?:input|average)" if quantity == "power" else "input"
        matches = (re.fullmatch(rf"{quantity}(\d+)_{form}", file) for file in self.files)
        numbers = {int(match[1]) for match in matches if match}
        return sorted(number for number in numbers if self.number_in(f"{quantity}{number}_enable") != 0)

    def text(self, attribute: str) -> str:
        """Return the text of an attribute, empty if there is none."""
        path = self.files.get(attribute)
        return read_label(path) if path else ""

    def number_in(self, attribute: str) -> int | None:
        """Return the integer in an attribute, None if there is none."""
        path = self.files.get(attribute)
        return read_int(path) if path else None


def find_chips(sysfs: Path) -> list[Chip]:
    """List the hwmon chips with their attributes, without links that lead nowhere.

    Batteries are left out: their power is drawn or charged.
    """
    found = []
    for folder in sorted((sysfs / "class/hwmon").glob("hwmon[0-9]*")):
        # Old drivers place their attributes, and even the name, in the folder of the bus device.
        files = {path.name: path for path in (*_entries(folder / "device"), *_entries(folder))}
        if "name" not in files:
            continue
        name = read_label(files["name"]) or folder.name
        link, home = folder / "device", Path(os.path.realpath(folder))
        bus = Path(os.path.realpath(link)) if link.is_symlink() else home.parents[1]
        if bus.name == "virtual":  # a chip without a device
            bus /= name
        if "power_supply" not in bus.parts:
            found.append(Chip(name, int(folder.name.removeprefix("hwmon")), files, bus, _pci_folder(bus)))
    return found + _find_monitors(sysfs)


def _find_monitors(sysfs: Path) -> list[Chip]:
    """List the power monitors of a Jetson before JetPack 5, whose driver has no hwmon folder.

    Their rails have `rail_name_N` and `in_powerN_input`, in milliwatts (NVIDIA's Jetson Linux Developer Guide, release
    32, power monitors).
    """
    home = sysfs / "bus/i2c/drivers" / IIO_MONITOR
    folders = sorted(home.glob("*/iio:device*")) or sorted(home.glob("*/iio_device"))
    found = []
    for number, folder in enumerate(folders):
        attributes = ((_RAIL.fullmatch(path.name), path) for path in _entries(folder))
        files = {
            f"power{match[1]}_label" if match[1] else f"power{match[2]}_input": path
            for match, path in attributes
            if match
        }
        found.append(Chip(IIO_MONITOR, number, files, Path(os.path.realpath(folder)).parent, None))
    return found


def without_duplicates(found: Iterable[Chip]) -> list[Chip]:
    """Leave out the management function of an Alveo card if its user function has the same sensors."""
    listed = list(found)
    users = {chip.id[:-2] for chip in listed if chip.name.endswith("_user")}
    return [chip for chip in listed if not (chip.name.endswith("_mgmt") and chip.id[:-2] in users)]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _pci_folder(bus: Path) -> Path | None:
    """Return the PCI device that contains a bus device, None if an I2C or USB controller is between them."""
    for folder in (bus, *bus.parents):
        if _OTHER_BUS.fullmatch(folder.name):
            return None
        if _PCI_ADDRESS.fullmatch(folder.name):
            return folder
    return None
