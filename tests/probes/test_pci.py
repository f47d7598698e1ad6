import os

from amd_cards import pci_card
from probes.pci import nearest_package, pci_devices
from trees import write


def test_the_functions_of_a_vendor_are_listed_by_address(tmp_path):
    pci_card(tmp_path, "0000:26:00.0", 0x74A1)
    first = pci_card(tmp_path, "0000:05:00.0", 0x744C, driver="vfio-pci")
    pci_card(tmp_path, "0000:07:00.0", 0x17F0, {"vendor": "0x1022"})
    (tmp_path / "bus/pci/devices/garbage").mkdir()
    found = pci_devices(tmp_path, 0x1002)
    assert [(each.address, each.device, each.pci_class, each.driver) for each in found] == [
        ("0000:05:00.0", 0x744C, 0x038000, "vfio-pci"),
        ("0000:26:00.0", 0x74A1, 0x038000, "amdgpu"),
    ]
    assert found[0].folder == first
    assert len(pci_devices(tmp_path, 0x1002, 0x1022)) == 3
    assert pci_devices(tmp_path / "nowhere", 0x1002) == ()


def test_a_device_without_numbers_or_a_driver_has_none(tmp_path):
    folder = pci_card(tmp_path, "0000:05:00.0", 1)
    for name in ("device", "class", "driver", "power/runtime_status"):
        (folder / name).unlink()
    (found,) = pci_devices(tmp_path, 0x1002)
    assert (found.device, found.pci_class, found.driver) == (0, 0, "")
    assert found.runtime_status is None
    assert not found.is_suspended


def test_the_suspend_state_and_the_bridge_of_a_device_are_read(tmp_path):
    folder = pci_card(tmp_path, "0000:05:00.0", 1)
    write(folder / "power/runtime_status", "suspended")
    (found,) = pci_devices(tmp_path, 0x1002)
    assert found.is_suspended
    assert found.bridge == ""
    home = tmp_path / "devices/pci0000:00/0000:04:00.0/0000:05:00.0"
    home.parent.mkdir(parents=True)
    folder.rename(home)
    link = tmp_path / "bus/pci/devices/0000:05:00.0"
    link.unlink()
    link.symlink_to(os.path.relpath(home, link.parent))
    assert pci_devices(tmp_path, 0x1002)[0].bridge == "0000:04:00.0"


def test_the_nearest_package_is_that_of_the_first_near_processor(tmp_path):
    assert nearest_package(tmp_path, tmp_path) is None
    write(tmp_path / "local_cpulist", "64-127")
    write(tmp_path / "devices/system/cpu/cpu64/topology/physical_package_id", 1)
    assert nearest_package(tmp_path, tmp_path) == 1
