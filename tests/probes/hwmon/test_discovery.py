import math
import shutil

import pytest

from hwmon_readings import GPU, channel, discover, only, outer, readings, watts
from probes.errors import ProbeUnavailableError
from probes.model import Kind, Reason, Rejection
from trees import FIXTURES, copy_tree, hwmon_chip, write


def tree(name, tmp_path):
    return copy_tree(name, tmp_path / "tree")


def test_an_fpga_card_is_one_device_whose_board_power_contains_the_management_engines(tmp_path):
    probe = only(tree("altera_dfl", tmp_path))
    assert probe.name == "hwmon/0000:65:00.0"
    assert watts(probe) == {"fme": 38.0, "board": 51.0}
    assert outer(probe, "fme") == (("0000:65:00.0", "board"),)
    assert outer(probe, "board") == ()
    assert probe.channels[0].device.kind is Kind.FPGA


def test_an_alveo_card_is_read_only_through_its_user_function(tmp_path):
    found = discover(tree("alveo", tmp_path))
    assert [probe.name for probe in found.probes] == ["hwmon/0000:af:00.1", "hwmon/0000:b3:00.1"]
    assert {c.device.kind for probe in found.probes for c in probe.channels} == {Kind.FPGA}


def test_an_alveo_card_without_a_user_function_is_read_through_its_management_function(tmp_path):
    sysfs = tree("alveo", tmp_path)
    (sysfs / "class/hwmon/hwmon1").unlink()
    assert [probe.name for probe in discover(sysfs).probes] == ["hwmon/0000:af:00.1", "hwmon/0000:b3:00.0"]


def test_the_target_power_of_an_alveo_card_is_a_setting_not_a_reading(tmp_path):
    _, u200 = discover(tree("alveo", tmp_path)).probes
    assert watts(u200) == {"card": 20.989838}
    assert channel(u200, "card").method == "instant"


def test_the_sdm_table_of_a_newer_alveo_card_is_in_its_own_units(tmp_path):
    vck5000, _ = discover(tree("alveo", tmp_path)).probes
    assert watts(vck5000) == {"card": 31.0}
    assert channel(vck5000, "card").resolution == 1.0
    assert channel(vck5000, "card").max_plausible == 0.0, "its max is the highest so far"


def test_an_sdm_value_scales_by_its_exponent_and_an_unknown_unit_is_ignored(tmp_path):
    name = {"name": "xilinx_v70_hwmon_sdm_user"}
    first = {"power1_input": 31250, "power1_label": "Total Power", "power1_unitm": -3, "power1_units": "Watts"}
    second = {"power2_input": 7, "power2_label": "VCCINT", "power2_unitm": 0, "power2_units": "Horses"}
    hwmon_chip(tmp_path, 0, f"{GPU}/hwmon_sdm.u.1", name | first | second)
    assert watts(only(tmp_path)) == {"card": 31.25}


def test_the_power_of_an_apu_covers_its_whole_socket_and_is_part_of_the_package(tmp_path):
    gpu, _ = discover(tree("amd_strix_apu_npu", tmp_path)).probes
    assert watts(gpu) == {"socket": 17.123}
    assert outer(gpu, "socket") == (("package-0", "package"),)


def test_the_power_of_an_mi300a_covers_its_socket_and_has_no_known_container(tmp_path):
    hwmon_chip(tmp_path, 0, GPU, {"name": "amdgpu", "power1_input": 240_000_000, "power1_label": "PPT"}, "amdgpu")
    write(tmp_path / "devices" / GPU / "device", "0x74a0")
    probe = only(tmp_path)
    assert watts(probe) == {"socket": 240.0}
    assert outer(probe, "socket") == ()


def test_the_cores_of_amd_energy_are_parts_of_their_socket(tmp_path):
    sysfs = tree("amd_energy", tmp_path)
    for cpu, package in enumerate((0, 1, 0, 1)):
        write(sysfs / f"devices/system/cpu/cpu{cpu}/topology/physical_package_id", package)
    probe = only(sysfs)
    assert probe.name == "hwmon/amd_energy.0"
    assert readings(probe) == {
        ("package-0", "package", "energy_joules"): 900.0,
        ("package-1", "package", "energy_joules"): 900.000001,
        ("package-0", "core-000", "energy_joules"): 5.0,
        ("package-1", "core-001", "energy_joules"): 6.0,
        ("package-0", "core-002", "energy_joules"): 7.0,
        ("package-1", "core-003", "energy_joules"): 8.0,
    }
    assert outer(probe, "core-003", "energy_joules") == (("package-1", "package"),)
    assert {c.device.kind for c in probe.channels} == {Kind.CPU}


def test_cores_are_assigned_to_sockets_in_order_without_topology_files(tmp_path):
    probe = only(tree("amd_energy", tmp_path))
    containers = [outer(probe, f"core-00{core}", "energy_joules")[0][0] for core in range(4)]
    assert containers == ["package-0", "package-0", "package-1", "package-1"]


def test_amd_accelerators_are_gpus_with_pci_address_and_name(tmp_path):
    first, second = discover(tree("amd_instinct", tmp_path)).probes
    assert (first.name, second.name) == ("hwmon/0000:05:00.0", "hwmon/0000:26:00.0")
    assert readings(first) == {
        ("0000:05:00.0", "package", "power_watts"): 310.000001,
        ("0000:05:00.0", "junction", "temperature_celsius"): 61.0,
        ("0000:05:00.0", "mem", "temperature_celsius"): 55.0,
    }
    device = first.channels[0].device
    assert (device.kind, device.name) == (Kind.GPU, "AMD Instinct MI300X OAM")
    assert dict(device.attributes) == {
        "driver": "amdgpu",
        "pci_address": "0000:05:00.0",
        "chip": "amdgpu",
        "unique_id": "5f3a9c0011223301",
    }


def test_a_reading_above_four_times_the_power_cap_is_impossible(tmp_path):
    sysfs = tree("amd_radeon", tmp_path)
    probe = only(sysfs)
    assert watts(probe) == {"package": 44.0}
    assert channel(probe, "package").max_plausible == 4 * 303.0
    assert channel(probe, "package").method == "average"
    write(next(sysfs.glob("devices/*/*/hwmon/hwmon0")) / "power1_average", 1_300_000_000)
    assert math.isnan(watts(probe)["package"])
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]


def test_firmware_power_and_energy_of_one_part_share_a_domain(tmp_path):
    read = readings(only(tree("arm_scmi", tmp_path)))
    assert read["scmi_dev.5", "soc", "energy_joules"] == pytest.approx(98765.4321)
    assert read["scmi_dev.5", "soc", "power_watts"] == 12.5
    assert read["scmi_dev.5", "cpu", "temperature_celsius"] == 51.0


def test_the_limits_of_a_dgx_spark_are_not_readings_and_its_rails_nest(tmp_path):
    probe = only(tree("dgx_spark", tmp_path))
    device = "NVDA8800:00"
    assert watts(probe) == {"sys_total": 36.0, "package": 22.0, "cpu_gpu": 10.0, "cpu_p": 4.5, "gpu_out": 4.8}
    assert outer(probe, "sys_total") == ()
    assert outer(probe, "package") == ((device, "sys_total"),)
    assert outer(probe, "package", "energy_joules") == ((device, "sys_total"),)
    assert outer(probe, "gpu_out") == ((device, "cpu_gpu"), (device, "package"), (device, "sys_total"))


def test_the_energy_of_a_dgx_spark_is_counted_for_the_package_and_each_kind_of_core(tmp_path):
    counters = {f"energy{number}_input": 1_000_000 * number for number in (1, 2, 3)}
    named = {f"energy{number}_label": label for number, label in enumerate(("pkg", "cpu_e", "cpu_p"), 1)}
    powers = {"power1_input": 36_000_000, "power1_label": "sys_total"}
    powers |= {"power2_input": 4_000_000, "power2_label": "cpu_p"}
    hwmon_chip(tmp_path, 0, "LNXSYSTM:00/NVDA8800:00", {"name": "spbm"} | counters | named | powers)
    probe = only(tmp_path)
    device = "NVDA8800:00"
    read = readings(probe)
    assert read[device, "package", "energy_joules"] == 1.0
    assert read[device, "cpu_p", "energy_joules"] == 3.0
    assert outer(probe, "cpu_e", "energy_joules") == ((device, "package"), (device, "sys_total"))
    assert outer(probe, "cpu_p") == outer(probe, "cpu_p", "energy_joules")


def test_controller_and_budget_channels_of_a_dgx_spark_are_ignored(tmp_path):
    labels = ("dc_input", "vcore", "pl1", "pl2", "syspl1", "syspl2", "budget_cpu", "sys_total")
    powers = {f"power{n}_input": 1_000_000 * n for n in range(1, 9)}
    named = {f"power{n}_label": label for n, label in enumerate(labels, 1)}
    hwmon_chip(tmp_path, 0, "LNXSYSTM:00/NVDA8800:00", {"name": "spbm"} | powers | named)
    probe = only(tmp_path)
    assert watts(probe) == {"dc_input": 1.0, "vcore": 2.0, "sys_total": 8.0}
    assert outer(probe, "sys_total") == (("NVDA8800:00", "dc_input"),)
    assert outer(probe, "vcore") == (("NVDA8800:00", "sys_total"), ("NVDA8800:00", "dc_input"))


def test_a_gaudi_is_an_accelerator_named_by_its_type(tmp_path):
    first, second = discover(tree("gaudi2", tmp_path)).probes
    assert watts(first) == watts(second) == {"card": 97.0}
    assert first.channels[0].device.kind is Kind.ACCELERATOR
    assert first.channels[0].device.name == "GAUDI2"


def test_i915_has_energy_only_and_a_tile_is_part_of_the_card(tmp_path):
    probe = only(tree("intel_arc_i915", tmp_path))
    assert readings(probe) == {
        ("0000:03:00.0", "card", "energy_joules"): 912345.678901,
        ("0000:03:00.0", "gt0", "energy_joules"): 612345.678901,
    }
    assert outer(probe, "gt0", "energy_joules") == (("0000:03:00.0", "card"),)
    assert probe.channels[0].device.kind is Kind.GPU


def test_xe_has_energy_only_and_the_card_contains_the_package(tmp_path):
    probe = only(tree("intel_arc_xe", tmp_path))
    assert readings(probe) == {
        ("0000:03:00.0", "card", "energy_joules"): 2843.0,
        ("0000:03:00.0", "package", "energy_joules"): 1987.0,
        ("0000:03:00.0", "package", "temperature_celsius"): 46.0,
        ("0000:03:00.0", "vram", "temperature_celsius"): 52.0,
    }
    assert outer(probe, "package", "energy_joules") == (("0000:03:00.0", "card"),)
    assert channel(probe, "card", "energy_joules").method == "counter"


def test_tenstorrent_chips_are_accelerators_without_products_of_voltage_and_current(tmp_path):
    blackhole, wormhole = discover(tree("tenstorrent", tmp_path)).probes
    assert watts(blackhole) == {"package": 34.0}
    assert watts(wormhole) == {"package": 12.0}
    assert channel(wormhole, "package").max_plausible == 4 * 85.0
    assert {c.device.kind for c in (*blackhole.channels, *wormhole.channels)} == {Kind.ACCELERATOR}


def test_stale_links_and_chips_without_power_have_no_probe():
    with pytest.raises(ProbeUnavailableError, match="measures power or energy"):
        discover(FIXTURES / "node_exporter/sys")


def test_stale_links_do_not_hide_a_chip_that_measures(tmp_path):
    sysfs = tmp_path / "sys"
    shutil.copytree(FIXTURES / "node_exporter/sys", sysfs, symlinks=True)
    hwmon_chip(sysfs, 42, "platform/fake", {"name": "zenergy", "energy1_input": 7, "energy1_label": "Esocket0"})
    assert readings(only(sysfs)) == {("package-0", "package", "energy_joules"): 7e-6}


def test_a_host_without_hwmon_is_unavailable(tmp_path):
    with pytest.raises(ProbeUnavailableError):
        discover(tmp_path)


def test_a_chip_with_limits_only_measures_nothing(tmp_path):
    limits = ("power1_cap", "power1_max", "power1_crit", "power1_rated_max", "power1_cap_max", "power1_label")
    hwmon_chip(tmp_path, 0, GPU, {"name": "xe"} | dict.fromkeys(limits, 100_000_000), "xe")
    with pytest.raises(ProbeUnavailableError):
        discover(tmp_path)


@pytest.mark.parametrize(
    ("bus", "values"),
    [
        ("platform/sfp", {"name": "sfp", "power1_input": 520, "power1_label": "TX_power"}),
        ("platform/PNP0C0A:00/power_supply/BAT0", {"name": "BAT0", "power1_input": 15_000_000}),
        ("LNXSYSTM:00/ACPI000D:00", {"name": "power_meter", "power1_average": 9_000_000, "power1_is_battery": 1}),
        ("platform/soc/i2c-1/1-0040", {"name": "ina226", "power1_input": 1, "power1_enable": 0}),
        ("platform/soc/i2c-1/1-0040", {"name": "ltc2947", "energy1_input": 1, "energy1_enable": 0}),
    ],
    ids=["light of an optical module", "battery", "battery behind an acpi meter", "power off", "energy off"],
)
def test_disabled_sensors_and_quantities_other_than_consumption_are_ignored(tmp_path, bus, values):
    hwmon_chip(tmp_path, 0, bus, values)
    with pytest.raises(ProbeUnavailableError):
        discover(tmp_path)


def test_a_chip_without_a_device_is_identified_by_its_name(tmp_path):
    write(tmp_path / "devices/virtual/hwmon/hwmon0/name", "some_meter")
    write(tmp_path / "devices/virtual/hwmon/hwmon0/power1_input", 3_000_000)
    (tmp_path / "class/hwmon").mkdir(parents=True)
    (tmp_path / "class/hwmon/hwmon0").symlink_to("../../devices/virtual/hwmon/hwmon0")
    assert readings(only(tmp_path)) == {("some_meter", "power1", "power_watts"): 3.0}
