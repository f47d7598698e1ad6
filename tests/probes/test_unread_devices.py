"""Computing PCI devices that no family represents become parts without a source of power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from probes.model import Channel, Device, Kind, Roots
from probes.registry import discover
from probes.unread_devices import devices_without_family
from trees import write

if TYPE_CHECKING:
    from pathlib import Path

SENSED = Channel(Device("0000:02:00.0", Kind.ACCELERATOR), "card", "power_watts")
GPU = Channel(Device("GPU-a", Kind.GPU, "", (("pci_address", "0000:05:00.0"),)), "board", "power_watts")


def pci(sysfs: Path, address: str, code: str, vendor: str, model: str = "0x0001") -> None:
    folder = sysfs / "bus/pci/devices" / address
    for name, value in (("class", code), ("vendor", vendor), ("device", model)):
        write(folder / name, value)


def found(sysfs: Path, *channels: Channel) -> dict[str, tuple[str, Kind, bool]]:
    stand_ins = devices_without_family(Roots(str(sysfs)), channels)
    return {each.device.id: (each.device.name, each.device.kind, bool(each.contained_in)) for each in stand_ins}


@pytest.mark.parametrize(
    ("code", "vendor", "expected"),
    [
        ("0x120000", "0x1e52", ("Tenstorrent accelerator 1e52:0001", Kind.ACCELERATOR, False)),
        ("0x120000", "0x1da3", ("Habana accelerator 1da3:0001", Kind.ACCELERATOR, False)),
        ("0x088000", "0x1ac1", ("Coral accelerator 1ac1:0001", Kind.ACCELERATOR, False)),
        ("0x058000", "0x10ee", ("Xilinx fpga 10ee:0001", Kind.FPGA, False)),
        ("0x030000", "0x10de", ("NVIDIA gpu 10de:0001", Kind.GPU, False)),
        ("0x038000", "0x1002", ("AMD gpu 1002:0001", Kind.GPU, False)),
        ("0x120000", "0x8086", ("Intel accelerator 8086:0001", Kind.ACCELERATOR, False)),
        ("0x020000", "0x1ae0", None),
        ("0x010802", "0x1d0f", None),
        ("0x030000", "0x19e5", None),
        ("0x030000", "0x1a03", None),
        ("0x068000", "0x10de", None),
        ("0x0b4000", "0x8086", None),
        ("0x118000", "0x1022", None),
        ("", "0x1e52", None),
        ("0x120000", "", None),
    ],
)
def test_a_device_counts_by_its_class_and_its_vendor(
    tmp_path: Path, code: str, vendor: str, expected: tuple[str, Kind, bool] | None
) -> None:
    pci(tmp_path, "0000:c1:00.0", code, vendor)
    assert found(tmp_path) == ({"0000:c1:00.0": expected} if expected else {})


def test_graphics_and_npu_of_a_processor_are_contained_in_its_package(tmp_path: Path) -> None:
    pci(tmp_path, "0000:00:02.0", "0x030000", "0x8086", "0x64a0")
    pci(tmp_path, "0000:00:0b.0", "0x120000", "0x8086", "0x643e")
    pci(tmp_path, "0000:c5:00.1", "0x118000", "0x1022", "0x17f0")
    driver = tmp_path / "bus/pci/drivers/amdxdna"
    driver.mkdir(parents=True)
    (tmp_path / "bus/pci/devices/0000:c5:00.1/driver").symlink_to(driver)
    assert found(tmp_path) == {
        "0000:00:02.0": ("Intel gpu 8086:64a0", Kind.GPU, True),
        "0000:00:0b.0": ("Intel npu 8086:643e", Kind.NPU, True),
        "0000:c5:00.1": ("AMD npu 1022:17f0", Kind.NPU, True),
    }


def test_a_device_that_a_family_represents_is_left_out_by_id_or_address_for_all_functions_of_its_card(
    tmp_path: Path,
) -> None:
    for address in ("0000:02:00.0", "0000:02:00.1", "0000:05:00.0", "0000:06:00.0", "0000:06:00.1"):
        pci(tmp_path, address, "0x120000", "0x10ee")
    assert list(found(tmp_path, SENSED, GPU)) == ["0000:06:00.0"]


def test_a_virtual_function_is_part_of_its_card(tmp_path: Path) -> None:
    pci(tmp_path, "0000:07:00.0", "0x030200", "0x10de")
    pci(tmp_path, "0000:07:01.4", "0x030200", "0x10de")
    (tmp_path / "bus/pci/devices/0000:07:01.4/physfn").symlink_to("../0000:07:00.0")
    assert list(found(tmp_path)) == ["0000:07:00.0"]


def test_discovery_lists_the_device_with_the_remedy_and_as_a_channel(tmp_path: Path) -> None:
    pci(tmp_path / "sys", "0000:c1:00.0", "0x120000", "0x1da3")
    pci(tmp_path / "sys", "0000:00:02.0", "0x030000", "0x8086")
    (tmp_path / "proc").mkdir()
    found = discover(Roots(str(tmp_path / "sys"), str(tmp_path / "proc"), str(tmp_path / "none")))
    found.close()
    (problem,) = [each for each in found.problems if each.sensor.startswith("0000:")]
    assert (problem.sensor, problem.is_unreadable) == ("0000:c1:00.0", False)
    assert problem.reason == "Habana accelerator 1da3:0001: no family of sensors reads it"
    assert "only a meter at the wall includes it" in problem.remedy
    assert [each.path for each in found.stand_ins] == ["0000:00:02.0/card", "0000:c1:00.0/card"]
    assert {*found.stand_ins} <= {*found.channels}
