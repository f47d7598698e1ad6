"""Cards of a vendor on the PCI bus, and the program that prints their readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amd_cards import pci_card
from vendor_programs import VendorProgram

if TYPE_CHECKING:
    from pathlib import Path


def program(folder: Path, name: str, output: bytes, *, seconds: float = 0, code: int = 0) -> Path:
    """Install a program that prints `output` after a time and ends with a code; return its folder for `Roots`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = VendorProgram(folder, name)
    made.prints(output, seconds=seconds, status=code)
    return made.folder


def cards(sysfs: Path, vendor: int, *addresses: str, driver: str = "npu") -> None:
    """Add PCI devices of a vendor."""
    for address in addresses:
        pci_card(sysfs, address, 0x1220, {"vendor": f"{vendor:#06x}", "class": "0x120000"}, driver)
