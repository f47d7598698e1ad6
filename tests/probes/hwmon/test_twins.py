"""Two drivers of the same meters: each meter counts once."""

import pytest

from agent.energy.counted_sensors import coverage
from probes import hwmon
from probes.model import Roots
from trees import hwmon_chip

XGENE = {"name": "apm_xgene", "power1_label": "CPU power", "power1_input": 16_280_000}
XGENE |= {"power2_label": "IO power", "power2_input": 31_900_000}
ALTRA = {**XGENE, "name": "altra_hwmon", "energy1_label": "Core Energy 000", "energy1_input": 5_000_000}


def channels(sysfs):
    found = hwmon.discover(Roots(sysfs=str(sysfs)))
    for probe in found.probes:
        probe.close()
    return [channel for probe in found.probes for channel in probe.channels]


def test_the_meters_of_the_second_driver_are_parts_of_those_of_the_first(tmp_path):
    hwmon_chip(tmp_path, 0, "platform/APMC0D29:00", XGENE)
    hwmon_chip(tmp_path, 1, "platform/altra_hwmon.0", ALTRA)
    within = {channel.path: channel.contained_in for channel in channels(tmp_path)}
    assert within["altra_hwmon.0/cpu"] == (("APMC0D29:00", "cpu"),)
    assert within["altra_hwmon.0/io"] == (("APMC0D29:00", "io"),)
    assert within["altra_hwmon.0/core-000"] == (("altra_hwmon.0", "cpu"),)
    assert within["APMC0D29:00/cpu"] == ()
    added = {channel.path for channel in coverage(channels(tmp_path)).includes}
    assert added == {"APMC0D29:00/cpu", "APMC0D29:00/io"}


def test_the_devices_of_two_sockets_are_paired_in_order(tmp_path):
    for socket in (0, 1):
        hwmon_chip(tmp_path, socket, f"platform/APMC0D29:0{socket}", XGENE)
        hwmon_chip(tmp_path, 5 - socket, f"platform/altra_hwmon.{socket}", ALTRA)
    within = {channel.path: channel.contained_in for channel in channels(tmp_path)}
    assert within["altra_hwmon.1/cpu"] == (("APMC0D29:01", "cpu"),)
    assert within["altra_hwmon.0/cpu"] == (("APMC0D29:00", "cpu"),)


@pytest.mark.parametrize("altras", [0, 2])
def test_devices_of_different_numbers_stay_unrelated(tmp_path, altras):
    hwmon_chip(tmp_path, 0, "platform/APMC0D29:00", XGENE)
    for number in range(altras):
        hwmon_chip(tmp_path, number + 1, f"platform/altra_hwmon.{number}", ALTRA)
    within = {channel.path: channel.contained_in for channel in channels(tmp_path)}
    assert within["APMC0D29:00/cpu"] == ()
    assert all(place[0] != "APMC0D29:00" for outer in within.values() for place in outer)
