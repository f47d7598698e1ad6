"""ACPI power meters without a reading: each is named with the remedy of its driver."""

import pytest

from probes import hwmon
from probes.errors import ProbeUnavailableError
from probes.model import Roots
from probes.settings import SensorSettings
from trees import hwmon_chip, write

METER = "LNXSYSTM:00/ACPI000D:00"


def discover(sysfs, **settings):
    return hwmon.discover(Roots(sysfs=str(sysfs)), SensorSettings(**settings))


def test_a_meter_without_its_power_file_names_the_option_of_its_driver(tmp_path):
    hwmon_chip(tmp_path, 0, METER, {"name": "power_meter", "power1_cap": 500_000_000})
    found = discover(tmp_path)
    assert found.probes == ()
    (problem,) = found.problems
    assert problem.sensor == "hwmon/ACPI000D:00"
    assert "force_cap_on=y" in problem.remedy


def test_a_meter_without_its_driver_names_the_module(tmp_path):
    write(tmp_path / "bus/acpi/devices/ACPI000D:00/status", 15)
    (problem,) = discover(tmp_path).problems
    assert (problem.sensor, problem.remedy) == ("hwmon/ACPI000D:00", "sudo modprobe acpi_power_meter")


def test_a_meter_that_firmware_reports_as_absent_is_no_problem(tmp_path):
    write(tmp_path / "bus/acpi/devices/ACPI000D:00/status", 0)
    with pytest.raises(ProbeUnavailableError):
        discover(tmp_path)


@pytest.mark.parametrize("within", ["", "device/"])
def test_a_meter_with_a_reading_is_no_problem_wherever_the_kernel_has_its_files(tmp_path, within):
    folder = hwmon_chip(tmp_path, 0, METER, {"name": "power_meter"})
    write(folder / f"{within}power1_average", 345_000_000)
    write(folder / f"{within}power1_average_interval", 1000)
    write(tmp_path / "bus/acpi/devices/ACPI000D:00/status", 15)
    found = discover(tmp_path)
    assert found.problems == ()
    (probe,) = found.probes
    assert probe.read(0) == [345.0]
    assert (probe.channels[0].path, probe.channels[0].refresh_seconds) == ("ACPI000D:00/wall", 1.0)
    probe.close()


def test_an_excluded_meter_is_no_problem(tmp_path):
    hwmon_chip(tmp_path, 0, METER, {"name": "power_meter"})
    found = discover(tmp_path, exclude=("ACPI000D:00",))
    assert (found.problems, found.excluded) == ((), {"ACPI000D:00"})


@pytest.mark.parametrize("milliseconds", [4294967295, 4294967295000, 0, -1])
def test_an_unknown_averaging_time_is_none(tmp_path, milliseconds):
    values = {"name": "power_meter", "power1_average": 345_000_000, "power1_average_interval": milliseconds}
    hwmon_chip(tmp_path, 0, METER, values)
    (probe,) = discover(tmp_path).probes
    assert probe.channels[0].refresh_seconds == 0.0
    probe.close()


def test_all_ones_of_a_supply_or_its_limit_are_no_power(tmp_path):
    values = {"name": "pmbus", "power1_input": 4294967295000, "power1_label": "pin", "power1_max": 4294967295000}
    folder = hwmon_chip(tmp_path, 0, "i2c-7/7-0058", values | {"power2_input": 190_000_000, "power2_label": "pout1"})
    (probe,) = discover(tmp_path).probes
    places = [channel.path for channel in probe.channels]
    assert dict(zip(places, probe.read(0), strict=True))["7-0058/pout1"] == 190.0
    assert [rejection.channel for rejection in probe.rejections] == [places.index("7-0058/wall")]
    assert {channel.max_plausible for channel in probe.channels} == {0.0}
    assert probe.channels[places.index("7-0058/pout1")].contained_in == (("7-0058", "wall"),)
    write(folder / "power1_input", 210_000_000)
    assert probe.read(1)[places.index("7-0058/wall")] == 210.0
    probe.close()
