import pytest

from probes import hwmon
from probes.conformance import FakeSensor, assert_conforms
from probes.model import Roots
from trees import hwmon_chip, write
from value_file_hosts import ValueFileHost

BUS = "pci0000:00/0000:00:01.0/0000:0{}:00.0"


def card(sysfs, number):
    """Add a GPU with an energy counter, a power and a temperature; return its sensors."""
    values = {
        "name": "xe",
        "energy1_input": 5_000_000 * number,
        "energy1_label": "card",
        "power1_input": 40_000_000 + number,
        "power1_label": "card",
        "power1_cap": 300_000_000,
        "temp2_input": 46_000 + number,
        "temp2_label": "pkg",
    }
    chip = hwmon_chip(sysfs, number, BUS.format(number), values, "xe")
    device = BUS.format(number).rpartition("/")[2]
    return [
        FakeSensor(chip / "energy1_input", (f"{device}/card", "energy_joules"), 1e6, 40_000_000),
        FakeSensor(chip / "power1_input", (f"{device}/card", "power_watts"), 1e6),
        FakeSensor(chip / "temp2_input", (f"{device}/package", "temperature_celsius"), 1e3),
    ]


class CardsHost(ValueFileHost):
    def __init__(self, folder):
        sysfs = folder / "sys"
        sensors = [*card(sysfs, 3), *card(sysfs, 4)]
        links = tuple((sysfs / "class/hwmon").iterdir())
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, presence=links, numbered=links)


class OneCardHost(ValueFileHost):
    """A card with a state of the kernel's power management."""

    def __init__(self, folder):
        sysfs = folder / "sys"
        sensors = card(sysfs, 3)
        status = write(sysfs / "devices" / BUS.format(3) / "power/runtime_status", "active")
        links = tuple((sysfs / "class/hwmon").iterdir())
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, presence=links, numbered=links, statuses=[status])


@pytest.mark.system
def test_hwmon_conforms_on_two_cards(tmp_path):
    left_out = {"suspension", "suspended discovery"}
    assert_conforms(hwmon.discover, CardsHost, tmp_path, not_exercised=left_out)


@pytest.mark.system
def test_hwmon_conforms_on_a_card_that_the_kernel_suspends(tmp_path):
    assert_conforms(hwmon.discover, OneCardHost, tmp_path)


class SupplyHost(ValueFileHost):
    """A board whose power is a voltage times a current."""

    def __init__(self, folder):
        sysfs = folder / "sys"
        values = {"name": "ina3221", "in2_label": "VDD_CPU_CV", "in2_input": 5000, "curr2_input": 1200}
        chip = hwmon_chip(sysfs, 0, "i2c-1/1-0040", values)
        sensors = [FakeSensor(chip / name, None) for name in ("in2_input", "curr2_input")]
        links = tuple((sysfs / "class/hwmon").iterdir())
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, presence=links, numbered=links)

    def truth(self):
        volts, amperes = (total / 1e3 for total in self._totals.values())
        return {("1-0040/vdd_cpu_cv", "power_watts"): volts * amperes}


@pytest.mark.system
def test_hwmon_conforms_on_a_product_of_voltage_and_current(tmp_path):
    left_out = {"suspension", "suspended discovery"}
    assert_conforms(hwmon.discover, SupplyHost, tmp_path, not_exercised=left_out)


class MonitorsHost(ValueFileHost):
    """The two power monitors of a Jetson TX2 with JetPack 4."""

    def __init__(self, folder):
        sysfs = folder / "sys"
        drivers, sensors = sysfs / "bus/i2c/drivers/ina3221x", []
        for address, rails in (("0-0040", {"VDD_SYS_GPU": 1159}), ("0-0041", {"VDD_IN": 5200, "VDD_SYS_CPU": 900})):
            home = sysfs / "devices/i2c-0" / address
            for position, (rail, milliwatts) in enumerate(rails.items()):
                write(home / f"iio:device0/rail_name_{position}", rail)
                file = write(home / f"iio:device0/in_power{position}_input", milliwatts)
                domain = "module" if rail == "VDD_IN" else rail.lower()
                sensors.append(FakeSensor(file, (f"{address}/{domain}", "power_watts"), 1e3))
            drivers.mkdir(parents=True, exist_ok=True)
            (drivers / address).symlink_to(home)
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, presence=tuple(drivers.iterdir()))


@pytest.mark.system
def test_the_monitors_of_a_jetson_before_jetpack_5_conform(tmp_path):
    left_out = {"renumbering", "suspension", "suspended discovery"}
    assert_conforms(hwmon.discover, MonitorsHost, tmp_path, not_exercised=left_out)
