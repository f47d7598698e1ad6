"""Conformance of hwmon on the chips of processors and of whole nodes."""

import pytest

from probes import hwmon
from probes.conformance import BLANKS, FakeSensor, assert_conforms
from probes.model import Roots
from trees import hwmon_chip, write
from value_file_hosts import ValueFileHost

MICRO = 1_000_000
UNKNOWN = "4294967295000"
"""All ones of an ACPI meter or a supply, in microwatts."""
ENERGIES = {"Ecore000": "package-0/core-000", "Ecore001": "package-1/core-001"} | {
    f"Esocket{number}": f"package-{number}/package" for number in (0, 1)
}


def power(chip, number, path, form="input"):
    return FakeSensor(chip / f"power{number}_{form}", (path, "power_watts"), MICRO)


def energies(sysfs):
    """Add AMD's counters of cores and sockets."""
    values = {"name": "amd_energy"}
    for number, label in enumerate(ENERGIES, 1):
        values |= {f"energy{number}_label": label, f"energy{number}_input": number * 5 * MICRO}
    chip = hwmon_chip(sysfs, 0, "platform/amd_energy.0", values)
    for cpu in (0, 1):
        write(sysfs / f"devices/system/cpu/cpu{cpu}/topology/physical_package_id", cpu)
    for number, path in enumerate(ENERGIES.values(), 1):
        yield FakeSensor(chip / f"energy{number}_input", (path, "energy_joules"), MICRO, 20 * MICRO)


def sockets(sysfs):
    """Add HSMP's meter of each socket."""
    for number in (0, 1):
        values = {"name": "amd_hsmp_hwmon", "power1_input": (90 + number) * MICRO, "power1_cap_max": 400 * MICRO}
        chip = hwmon_chip(sysfs, number, f"platform/AMDI0097:0{number}", values)
        write(sysfs / f"devices/platform/AMDI0097:0{number}/uid", f"ID0{number}")
        yield power(chip, 1, f"package-{number}/package")


def ampere(sysfs):
    """Add both drivers of Ampere's meters."""
    labels = {"power1_label": "CPU power", "power2_label": "IO power"}
    for index, (name, bus) in enumerate((("apm_xgene", "APMC0D29:00"), ("altra_hwmon", "altra_hwmon.0"))):
        values = {"name": name, "power1_input": 16_280_000, "power2_input": 31_900_000}
        chip = hwmon_chip(sysfs, index, f"platform/{bus}", values | labels)
        yield from (power(chip, 1, f"{bus}/cpu"), power(chip, 2, f"{bus}/io"))


def rails(sysfs):
    """Add zenpower's rails."""
    labels = {"power1_label": "SVI2_P_Core", "power2_label": "SVI2_P_SoC"}
    values = {"name": "zenpower", "power1_input": 30 * MICRO, "power2_input": 9 * MICRO}
    chip = hwmon_chip(sysfs, 0, "pci0000:00/0000:00:18.3", values | labels, "zenpower")
    yield from (power(chip, 1, "0000:00:18.3/core"), power(chip, 2, "0000:00:18.3/soc"))


def meter(sysfs):
    """Add an ACPI meter, in the layout of kernels that have its files in the folder of its device."""
    hwmon_chip(sysfs, 0, "LNXSYSTM:00/ACPI000D:00", {"name": "power_meter"})
    device = sysfs / "devices/LNXSYSTM:00/ACPI000D:00"
    write(device / "power1_average_interval", 1000)
    write(device / "power1_average", 345 * MICRO)
    yield power(device, 1, "ACPI000D:00/wall", "average")


def supplies(sysfs):
    """Add two power supplies, each with its input and its output."""
    for number in (8, 9):
        values = {"name": "pmbus", "power1_label": "pin", "power2_label": "pout1"}
        values |= {"power1_input": 210 * MICRO, "power2_input": (180 + number) * MICRO}
        chip = hwmon_chip(sysfs, number, f"i2c-7/7-005{number}", values)
        yield from (power(chip, 1, f"7-005{number}/wall"), power(chip, 2, f"7-005{number}/pout1"))


class ChipHost(ValueFileHost):
    blanks = (*BLANKS, UNKNOWN)
    containers = frozenset({("package-0", "package"), ("package-1", "package")})

    def __init__(self, folder, add):
        sysfs = folder / "sys"
        sensors = list(add(sysfs))
        links = tuple((sysfs / "class/hwmon").iterdir())
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, presence=links, numbered=links)


@pytest.mark.system
@pytest.mark.parametrize("add", [energies, sockets, ampere, rails, meter, supplies], ids=lambda add: add.__name__)
def test_hwmon_conforms_on_the_chips_of(tmp_path, add):
    not_exercised = {"suspension", "suspended discovery"}
    assert_conforms(hwmon.discover, lambda folder: ChipHost(folder, add), tmp_path, not_exercised)
