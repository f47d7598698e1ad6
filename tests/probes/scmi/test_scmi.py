"""The power of SCMI's powercap zones: domains, containment in the firmware's sensors, limits, faults."""

import pytest

from probes import scmi
from probes.errors import ProbeUnavailableError
from probes.model import Kind, Roots
from probes.settings import SensorSettings
from trees import copy_tree, hwmon_chip, write

SENSORS = {
    "name": "scmi_sensors",
    "power1_input": 1,
    "power1_label": "CPU_PWR",
    "energy1_input": 1,
    "energy1_label": "DDR_NRG",
}


def discover(sysfs, **settings):
    return scmi.discover(Roots(sysfs=str(sysfs)), SensorSettings(**settings))


def zone(sysfs, index, name, microwatts, **more):
    """Add a zone of the control type arm-scmi: a folder and a link to it."""
    indices = index.split(":")
    folder = sysfs / "devices/virtual/powercap/arm-scmi"
    for depth in range(len(indices)):
        folder /= ":".join(["arm-scmi", *indices[: depth + 1]])
    for file, value in {"name": name, "power_uw": microwatts, **more}.items():
        write(folder / file, value)
    link = sysfs / "class/powercap" / f"arm-scmi:{index}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder)
    return folder


def within(found):
    return {channel.path: channel.contained_in for channel in found.probes[0].channels}


def test_a_zone_is_a_part_of_the_firmwares_sensor_of_its_name_and_of_its_parent_zone(tmp_path):
    found = discover(copy_tree("arm_scmi", tmp_path / "tree"))
    assert within(found) == {
        "arm-scmi/soc": (("scmi_dev.5", "soc"),),
        "arm-scmi/cluster0": (("arm-scmi", "soc"),),
    }
    assert found.probes[0].read(0) == [12.5, 4.5]
    assert found.problems == ()
    found.probes[0].close()


def test_a_zone_has_the_averaging_time_and_the_limit_that_the_firmware_states(tmp_path):
    (probe,) = discover(copy_tree("arm_scmi", tmp_path / "tree")).probes
    soc, cluster = probe.channels
    assert (soc.method, soc.refresh_seconds, soc.max_plausible) == ("average", 1.0, 120.0)
    assert (cluster.refresh_seconds, cluster.max_plausible) == (0.0, 0.0)
    assert soc.device.kind is Kind.BOARD
    probe.close()


def test_without_sensors_of_the_firmware_the_outermost_zone_is_contained_in_nothing(tmp_path):
    zone(tmp_path, "0", "soc", 5)
    found = discover(tmp_path)
    assert within(found) == {"arm-scmi/soc": ()}
    found.probes[0].close()


def test_a_zone_without_a_namesake_is_never_added_to_the_sensors_of_the_firmware(tmp_path):
    zone(tmp_path, "0", "board", 5)
    hwmon_chip(tmp_path, 0, "platform/firmware:scmi/scmi_dev.5", SENSORS)
    found = discover(tmp_path)
    assert set(within(found)["arm-scmi/board"]) == {("scmi_dev.5", "cpu"), ("scmi_dev.5", "ddr")}
    found.probes[0].close()


def test_zones_of_one_name_are_numbered_and_contain_their_own_parts(tmp_path):
    for socket in (0, 1):
        zone(tmp_path, str(socket), "soc", 5)
        zone(tmp_path, f"{socket}:0", "cluster", 4)
    found = discover(tmp_path)
    assert within(found) == {
        "arm-scmi/soc": (),
        "arm-scmi/cluster": (("arm-scmi", "soc"),),
        "arm-scmi/soc-2": (),
        "arm-scmi/cluster-2": (("arm-scmi", "soc-2"),),
    }
    found.probes[0].close()


def test_zones_are_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2):
        zone(tmp_path, str(number), f"zone{number}", 5)
    found = discover(tmp_path)
    assert list(within(found)) == ["arm-scmi/zone2", "arm-scmi/zone10"]
    found.probes[0].close()


@pytest.mark.parametrize("microseconds", ["4294967295", "garbage", "-5"])
def test_an_implausible_averaging_time_is_unknown(tmp_path, microseconds):
    zone(tmp_path, "0", "soc", 5, constraint_0_time_window_us=microseconds)
    (probe,) = discover(tmp_path).probes
    assert probe.channels[0].refresh_seconds == 0.0
    probe.close()


def test_a_zone_that_cannot_be_read_is_a_problem(tmp_path):
    zone(tmp_path, "0", "soc", "N/A")
    found = discover(tmp_path)
    assert found.probes == ()
    (problem,) = found.problems
    assert "arm-scmi/soc" in problem.sensor


def test_an_excluded_zone_is_not_read(tmp_path):
    zone(tmp_path, "0", "soc", "N/A")
    found = discover(tmp_path, exclude=("arm-scmi/soc",))
    assert (found.probes, found.problems, found.excluded) == ((), (), {"arm-scmi/soc"})


def test_without_zones_the_family_is_unavailable(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="class/powercap"):
        discover(tmp_path)
