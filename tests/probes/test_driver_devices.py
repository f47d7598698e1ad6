import pytest

from probes.driver_devices import address_in, devices_of_class
from probes.model import Kind
from trees import copy_tree, write


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0000:9D:00.0", "0000:9d:00.0"),
        ("00000000:29:00.0", "0000:29:00.0"),
        (" 3b:00.1\n", "0000:3b:00.1"),
        ("10000:e1:00.0", "10000:e1:00.0"),
        ("N/A", ""),
        ("", ""),
        ("0000:9d:00.0; rm", ""),
        ("0000:9d:00.9", ""),
    ],
)
def test_an_address_is_written_as_the_kernel_does(text, address):
    assert address_in(text) == address


def test_a_device_of_a_class_has_the_identity_of_its_bus_not_that_of_its_number(tmp_path):
    sysfs = copy_tree("gaudi2", tmp_path / "tree")
    first, second = devices_of_class(sysfs, "accel", {"habanalabs"})
    assert (first.pci.address, second.pci.address) == ("0000:19:00.0", "0000:b3:00.0")
    assert [entry.name for entry in first.entries] == ["accel0"]
    (sysfs / "class/accel/accel0").rename(sysfs / "class/accel/accel7")
    assert [device.pci.address for device in devices_of_class(sysfs, "accel", {"habanalabs"})] == [
        "0000:19:00.0",
        "0000:b3:00.0",
    ]


def test_a_device_of_another_driver_is_left_out(tmp_path):
    assert devices_of_class(copy_tree("gaudi2", tmp_path / "tree"), "accel", {"intel_vpu"}) == []


def test_connectors_and_links_that_lead_nowhere_are_no_devices(tmp_path):
    sysfs = copy_tree("intel_arc_xe", tmp_path / "tree")
    (sysfs / "class/drm/card9").symlink_to("../../nowhere")
    write(sysfs / "class/drm/version", "drm 1.1.0")
    (device,) = devices_of_class(sysfs, "drm", {"xe"})
    assert [entry.name for entry in device.entries] == ["card1"]


def test_attributes_without_a_text_are_left_out_of_a_device(tmp_path):
    (device, _) = devices_of_class(copy_tree("gaudi2", tmp_path / "tree"), "accel", {"habanalabs"})
    found = device.as_device(Kind.ACCELERATOR, "HL-225", serial="", uuid="x")
    assert (found.id, found.name) == ("0000:19:00.0", "HL-225")
    assert dict(found.attributes) == {"driver": "habanalabs", "pci_address": "0000:19:00.0", "uuid": "x"}


def test_a_device_reports_what_hwmon_reads_of_it(tmp_path):
    sysfs = copy_tree("gaudi2", tmp_path / "tree")
    (device, _) = devices_of_class(sysfs, "accel", {"habanalabs"})
    assert device.has_hwmon("power")
    assert not device.has_hwmon("energy")


def test_the_nearest_package_is_that_of_the_first_local_processor(tmp_path):
    sysfs = copy_tree("gaudi2", tmp_path / "tree")
    (first, second) = devices_of_class(sysfs, "accel", {"habanalabs"})
    write(second.pci.folder / "local_cpulist", "56-111,168-223")
    write(sysfs / "devices/system/cpu/cpu56/topology/physical_package_id", 1)
    assert first.package(sysfs) == ("package-0", "package")
    assert second.package(sysfs) == ("package-1", "package")


def test_a_sleeping_device_is_recognized(tmp_path):
    (device, _) = devices_of_class(copy_tree("gaudi2", tmp_path / "tree"), "accel", {"habanalabs"})
    assert device.pci.runtime_status is None
    assert not device.pci.is_suspended
    write(device.pci.folder / "power/runtime_status", "suspended")
    assert device.pci.is_suspended
