"""Finds the ACPI power meters of the host that show no power, with the remedy for each.

Interface: the kernel's Documentation/hwmon/acpi_power_meter.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.model import Problem
from probes.sysfs import read_int

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from probes.hwmon.folders import Chip

_DRIVER = "power_meter"
_HARDWARE = "ACPI000D"


def silent_meters(sysfs: Path, chips: Iterable[Chip]) -> Iterator[Problem]:
    """Yield a problem for each meter without a reading, and for each that no driver handles."""
    handled = set()
    for chip in chips:
        if chip.name == _DRIVER:
            handled.add(chip.id)
            if not chip.indices("power"):
                remedy = (
                    "sudo modprobe -r acpi_power_meter && sudo modprobe acpi_power_meter force_cap_on=y, or boot with "
                    "acpi_power_meter.force_cap_on=y; else the firmware does not measure"
                )
                yield Problem(f"hwmon/{chip.id}", "this ACPI power meter has no file with its power", remedy)
    for folder in sorted((sysfs / "bus/acpi/devices").glob(f"{_HARDWARE}:*")):
        if folder.name not in handled and read_int(folder / "status") != 0:  # 0: the firmware reports it as absent
            yield Problem(
                f"hwmon/{folder.name}",
                "the driver of this ACPI power meter is not loaded",
                "sudo modprobe acpi_power_meter",
            )
