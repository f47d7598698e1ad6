"""PCI devices that compute and that no family of sensors represents: they draw power that nothing measures.

The vendors are those of accelerators, and the classes those of the PCI Code and ID Assignment Specification: display
controllers, processing accelerators, and the classes that vendors of accelerators use in their place. A virtual
function is part of its card. Only names of the kernel are read, so a sleeping device stays asleep.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from probes.model import Channel, Device, Kind, Problem
from probes.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from probes.model import Roots

_DISPLAY, _ACCELERATOR = 0x03, 0x12
_NOT_COMPUTING = frozenset({0x01, 0x02, 0x03, 0x04, 0x06, 0x07, 0x0C})
"""Storage, network, display, multimedia, bridges, serial ports and serial buses."""
_GPU_VENDORS = {0x8086: "Intel", 0x1002: "AMD", 0x10DE: "NVIDIA"}
_VENDORS: dict[int, tuple[str, Kind]] = {
    0x1DA3: ("Habana", Kind.ACCELERATOR),
    0x17CB: ("Qualcomm", Kind.ACCELERATOR),
    0x1E52: ("Tenstorrent", Kind.ACCELERATOR),
    0x1AE0: ("Google", Kind.ACCELERATOR),
    0x1AC1: ("Coral", Kind.ACCELERATOR),
    0x10EE: ("Xilinx", Kind.FPGA),
    0x19E5: ("Huawei", Kind.NPU),
    0x1D0F: ("AWS", Kind.ACCELERATOR),
    0x1EFF: ("Rebellions", Kind.NPU),
    0x1ED2: ("Furiosa", Kind.NPU),
    0x1E60: ("Hailo", Kind.NPU),
}
_AMD, _NPU_DRIVER = 0x1022, "amdxdna"
_SLOT = re.compile(r"([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})\.[0-7]", re.IGNORECASE)
_ON_ROOT_BUS = re.compile(r"0000:00:")
_IN_PACKAGE = (("package-0", "package"),)
_REMEDY = "install its driver and its tools; if none reports power, only a meter at the wall includes it"


def devices_without_family(roots: Roots, channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Return a stand-in for each computing PCI device whose card no channel represents, for the parts of a total.

    A stand-in that is contained in a package needs no sensor of its own.
    """
    represented = {slot for channel in channels for slot in _slots(channel.device)}
    return tuple(each for each in _computing(Path(roots.sysfs)) if not represented & {*_slots(each.device)})


def unread_problem(stand_in: Channel) -> Problem:
    """Return the note about a device that no family reads."""
    device = stand_in.device
    return Problem(device.id, f"{device.name}: no family of sensors reads it", _REMEDY, is_unreadable=False)


def _slots(device: Device) -> Iterator[str]:
    """Yield the PCI slots of a device, by its id or its attribute; the functions of a card share one."""
    for text in (device.id, dict(device.attributes).get("pci_address", "")):
        if match := _SLOT.search(text):
            yield match[1].lower()


def _computing(sysfs: Path) -> Iterator[Channel]:
    """Yield a stand-in for each computing device, one for all functions of a card."""
    seen = set()
    for folder in sorted((sysfs / "bus/pci/devices").glob("*:*:*.*")):
        device = None if (folder / "physfn").exists() else _device(folder)
        slot = folder.name.rpartition(".")[0]
        if device is None or slot in seen:
            continue
        seen.add(slot)
        inside = device.kind in {Kind.GPU, Kind.NPU} and dict(device.attributes)["place"] == "package"
        yield Channel(device, "card", "utilization_ratio", contained_in=_IN_PACKAGE if inside else ())


def _device(folder: Path) -> Device | None:
    number = _hexadecimal(folder / "class")
    if number is None:
        return None
    base = number >> 16
    if base in _NOT_COMPUTING - {_DISPLAY}:
        return None
    vendor, model = (_hexadecimal(folder / name) for name in ("vendor", "device"))
    if vendor is None or model is None:
        return None
    named = _kind(base, vendor, folder)
    if named is None:
        return None
    name, kind = named
    attributes = (
        ("pci_address", folder.name),
        ("place", "package" if vendor == _AMD or _is_integrated(vendor, folder) else "card"),
    )
    return Device(folder.name, kind, f"{name} {kind.value} {vendor:04x}:{model:04x}", attributes)


def _kind(base: int, vendor: int, folder: Path) -> tuple[str, Kind] | None:
    """Return the vendor and the kind of a device, None if it does not compute."""
    if vendor in _GPU_VENDORS and base == _DISPLAY:
        return _GPU_VENDORS[vendor], Kind.GPU
    if vendor in _GPU_VENDORS and base == _ACCELERATOR:
        return _GPU_VENDORS[vendor], Kind.NPU if _is_integrated(vendor, folder) else Kind.ACCELERATOR
    if vendor == _AMD and (folder / "driver").resolve().name == _NPU_DRIVER:
        return "AMD", Kind.NPU
    return _VENDORS.get(vendor) if base != _DISPLAY else None


def _is_integrated(vendor: int, folder: Path) -> bool:
    """Return whether this is an Intel device on the root bus, which is part of the processor."""
    return vendor == 0x8086 and bool(_ON_ROOT_BUS.match(folder.name))  # noqa: PLR2004  Intel


def _hexadecimal(path: Path) -> int | None:
    try:
        return int(read_text(path) or "", 16)
    except ValueError:
        return None
