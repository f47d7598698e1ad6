"""Trees of /sys for tests: the stored ones copied to a writable place, and small ones built to order."""

from __future__ import annotations

import shutil
from pathlib import Path

from probes.model import Roots

FIXTURES = Path(__file__).parent / "fixtures"


def copy_tree(name: str, to: Path) -> Path:
    """Copy the machine `name` of fixtures/trees to `to`, links kept; return its sys folder."""
    shutil.copytree(FIXTURES / "trees" / name, to, symlinks=True)
    return to / "sys"


def write(path: Path, value: object) -> Path:
    """Write one value as the kernel shows it, with a newline; rewriting keeps the inode, so open files see it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with path.open("r+") as file:
            file.write(f"{value}\n")
            file.truncate()
    else:
        path.write_text(f"{value}\n")
    return path


def powercap_zone(
    sysfs: Path, zone: str, name: str, energy_uj: int, range_uj: int = 262143328850, limit_uw: int = 0
) -> Path:
    """Add the powercap zone `zone` (`intel-rapl:0:1`) as the kernel does: a folder and a link to it in class."""
    family, *indices = zone.split(":")
    folder = sysfs / "devices/virtual/powercap" / family
    for depth in range(len(indices)):
        folder /= ":".join([family, *indices[: depth + 1]])
    write(folder / "name", name)
    write(folder / "energy_uj", energy_uj)
    write(folder / "max_energy_range_uj", range_uj)
    write(folder / "enabled", 1)
    if limit_uw:
        write(folder / "constraint_0_power_limit_uw", limit_uw)
    link = sysfs / "class/powercap" / zone
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path("../..") / folder.relative_to(sysfs))
    return folder


def hwmon_chip(sysfs: Path, index: int, bus_device: str, values: dict[str, object], driver: str = "") -> Path:
    """Add hwmon`index` below the bus device `bus_device` (a path below devices/), with its device and class links."""
    parent = sysfs / "devices" / bus_device
    chip = parent / "hwmon" / f"hwmon{index}"
    for attribute, value in values.items():
        write(chip / attribute, value)
    (chip / "device").symlink_to("../..")
    if driver:
        target = sysfs / "bus/drivers" / driver
        target.mkdir(parents=True, exist_ok=True)
        if not (parent / "driver").is_symlink():
            (parent / "driver").symlink_to(target)
    link = sysfs / "class/hwmon" / f"hwmon{index}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path("../..") / chip.relative_to(sysfs))
    return chip


def roots(sysfs: Path, tmp_path: Path, cpuinfo: str = "vendor_id\t: GenuineIntel\n") -> Roots:
    """Return the roots of a tree, with a /proc that has this cpuinfo."""
    procfs = tmp_path / "proc"
    procfs.mkdir(exist_ok=True)
    (procfs / "cpuinfo").write_text(cpuinfo)
    return Roots(sysfs=str(sysfs), procfs=str(procfs))
