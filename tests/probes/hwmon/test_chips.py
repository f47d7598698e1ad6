import pytest

from hwmon_readings import GPU, channel, discover, only, outer, readings, watts
from probes.errors import ProbeUnavailableError
from probes.hwmon import chips as hwmon_chips
from probes.model import Kind
from trees import hwmon_chip, write

GRACE = {
    "Module Power Socket 0": 467_000_000,
    "Grace Power Socket 0": 132_000_000,
    "CPU Power Socket 0": 81_000_000,
    "SysIO Power Socket 0": 22_000_000,
}


def grace(sysfs, *, old_layout):
    for number, (label, microwatts) in enumerate(GRACE.items()):
        values = {"power1_average": microwatts, "power1_average_interval": 50, "power1_oem_info": label}
        folder = hwmon_chip(sysfs, number, f"LNXSYSTM:00/ACPI000D:0{number}", {"name": "power_meter"})
        for attribute, value in values.items():
            write((folder / "device" if old_layout else folder) / attribute, value)


@pytest.mark.parametrize("old_layout", [False, True], ids=["in hwmonN", "in hwmonN/device"])
def test_the_meters_of_grace_are_named_and_nested_in_every_layout_of_attributes(tmp_path, old_layout):
    grace(tmp_path, old_layout=old_layout)
    probes = discover(tmp_path).probes
    assert [probe.name for probe in probes] == [f"hwmon/ACPI000D:0{number}" for number in range(4)]
    assert readings(*probes) == {
        ("module-0", "module", "power_watts"): 467.0,
        ("package-0", "package", "power_watts"): 132.0,
        ("package-0", "cpu", "power_watts"): 81.0,
        ("package-0", "sysio", "power_watts"): 22.0,
    }
    module, package, cpu, sysio = (probe.channels[0] for probe in probes)
    assert (module.device.kind, package.device.kind, cpu.device.kind) == (Kind.BOARD, Kind.CPU, Kind.CPU)
    assert module.contained_in == ()
    assert package.contained_in == (("module-0", "module"),)
    assert cpu.contained_in == sysio.contained_in == (("package-0", "package"), ("module-0", "module"))
    assert {probe.channels[0].refresh_seconds for probe in probes} == {0.05}
    assert module.method == "average"


def test_an_acpi_meter_without_oem_information_is_the_whole_node(tmp_path):
    meter = {"name": "power_meter", "power1_average": 345_000_000, "power1_average_interval": 1000}
    hwmon_chip(tmp_path, 0, "LNXSYSTM:00/ACPI000D:00", meter | {"power1_oem_info": ""}, "power_meter")
    probe = only(tmp_path)
    assert readings(probe) == {("ACPI000D:00", "wall", "power_watts"): 345.0}
    assert probe.channels[0].device.kind is Kind.BOARD
    assert probe.channels[0].refresh_seconds == 1.0


def test_an_acpi_meter_of_another_maker_is_named_by_its_oem_information(tmp_path):
    meter = {"name": "power_meter", "power1_average": 345_000_000, "power1_oem_info": "GPU Tray Power"}
    hwmon_chip(tmp_path, 0, "LNXSYSTM:00/ACPI000D:00", meter)
    assert watts(only(tmp_path)) == {"gpu-tray": 345.0}


def test_an_hsmp_socket_is_the_package_of_its_acpi_uid(tmp_path):
    for index, socket in enumerate((1, 0)):
        hwmon_chip(tmp_path, index, f"platform/AMDI0097:0{index}", hsmp(100 + socket))
        write(tmp_path / f"devices/platform/AMDI0097:0{index}/firmware_node/uid", f"ID0{socket}")
    probes = discover(tmp_path).probes
    assert readings(*probes) == {
        ("package-0", "package", "power_watts"): 100.0,
        ("package-1", "package", "power_watts"): 101.0,
    }
    assert {c.device.kind for probe in probes for c in probe.channels} == {Kind.CPU}
    assert {c.max_plausible for probe in probes for c in probe.channels} == {1600.0}


def hsmp(socket_watts):
    return {"name": "amd_hsmp_hwmon", "power1_input": socket_watts * 1_000_000, "power1_cap_max": 400_000_000}


def test_sockets_of_one_hsmp_platform_device_are_in_their_order_of_registration(tmp_path):
    hwmon_chip(tmp_path, 9, "platform/amd_hsmp", hsmp(100))
    hwmon_chip(tmp_path, 10, "platform/amd_hsmp", hsmp(101))
    assert readings(only(tmp_path)) == {
        ("package-0", "package", "power_watts"): 100.0,
        ("package-1", "package", "power_watts"): 101.0,
    }


def test_zenpower_rails_are_parts_of_the_package_of_their_cpus(tmp_path):
    rails = {"power1_input": 41_000_000, "power1_label": "SVI2_P_Core"}
    rails |= {"power2_input": 9_000_000, "power2_label": "SVI2_P_SoC"}
    hwmon_chip(tmp_path, 0, "pci0000:00/0000:00:19.3", {"name": "zenpower"} | rails, "zenpower")
    write(tmp_path / "devices/pci0000:00/0000:00:19.3/local_cpulist", "8-15,24-31")
    write(tmp_path / "devices/system/cpu/cpu8/topology/physical_package_id", 1)
    probe = only(tmp_path)
    assert watts(probe) == {"core": 41.0, "soc": 9.0}
    assert outer(probe, "core") == outer(probe, "soc") == (("package-1", "package"),)
    assert probe.channels[0].device.kind is Kind.CPU


def test_an_xgene_processor_has_a_cpu_and_an_io_domain_and_the_first_contains_the_cores(tmp_path):
    powers = {"power1_input": 16_280_000, "power1_label": "CPU power", "power2_input": 31_900_000}
    values = {"name": "altra_hwmon", "power2_label": "IO power", "energy1_input": 5, "energy1_label": "Core Energy 000"}
    hwmon_chip(tmp_path, 0, "platform/APMC0D29:00", values | powers)
    probe = only(tmp_path)
    assert watts(probe) == {"cpu": 16.28, "io": 31.9}
    assert outer(probe, "core-000", "energy_joules") == (("APMC0D29:00", "cpu"),)
    assert probe.channels[0].device.kind is Kind.CPU


def test_an_npu_is_part_of_the_package(tmp_path):
    values = {"name": "amdxdna", "power1_input": 1_500_000, "power1_label": "NPU_power"}
    hwmon_chip(tmp_path, 0, "pci0000:00/0000:c5:00.1", values, "amdxdna")
    probe = only(tmp_path)
    assert watts(probe) == {"npu": 1.5}
    assert outer(probe, "npu") == (("package-0", "package"),)
    assert probe.channels[0].device.kind is Kind.NPU


@pytest.mark.parametrize(
    ("chip", "driver", "vendor", "pci_class", "kind"),
    [
        ("amdgpu", "amdgpu", 0x1002, 0x120000, Kind.GPU),
        ("unheard_of", "unheard_of", 0x1234, 0x030200, Kind.GPU),
        ("unheard_of", "unheard_of", 0x1234, 0x120000, Kind.ACCELERATOR),
        ("unheard_of", "unheard_of", 0x10EE, 0x120000, Kind.FPGA),
        ("HL-225", "", 0, 0, Kind.ACCELERATOR),
        ("n6000bmc-hwmon", "", 0, 0, Kind.FPGA),
        ("bpa-rs600", "", 0, 0, Kind.PSU),
        ("unheard_of", "", 0, 0, Kind.BOARD),
    ],
)
def test_chip_driver_vendor_and_class_determine_the_kind_of_a_device_in_this_order(
    chip, driver, vendor, pci_class, kind
):
    assert hwmon_chips.kind_of(chip, driver, vendor, pci_class) is kind


VOLTAGES = {index: 1000 + index for index in range(8)}
CURRENTS = {index: 1000 * index for index in range(1, 5)}


@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("ina3221", {(1, 1), (2, 2), (3, 3)}),
        *((chip, {(1, 1)}) for chip in ("ina209", "ina219", "ina226", "ina238", "ina260", "ina233")),
        *((chip, {(1, 1)}) for chip in ("ltc2945", "ltc4260", "ltc4261", "ltc4282")),
        *((chip, {(1, 1)}) for chip in ("adm1272", "adm1275", "adm1276", "adm1278", "adm1293")),
        ("ltc2947", {(0, 1)}),
        ("ltc2992", {(0, 1), (2, 2)}),
        ("max20730", {(2, 1)}),
        ("max20751", {(2, 1)}),
        ("mp2975", {(1, 1)}),
        *((chip, {(n, n) for n in CURRENTS}) for chip in ("pmbus", "tps53679", "ir35221", "xdpe12284", "ucd90320")),
        ("nct6779", set()),
    ],
)
def test_voltages_and_currents_pair_as_each_driver_numbers_them(tmp_path, chip, expected):
    values = {f"in{index}_input": millivolts for index, millivolts in VOLTAGES.items()}
    values |= {f"curr{index}_input": milliamperes for index, milliamperes in CURRENTS.items()}
    hwmon_chip(tmp_path, 0, "platform/i2c-3/3-0040", {"name": chip} | values)
    if not expected:
        with pytest.raises(ProbeUnavailableError):
            discover(tmp_path)
        return
    products = sorted(VOLTAGES[v] * CURRENTS[c] / 1e6 for v, c in expected)
    assert sorted(watts(only(tmp_path)).values()) == pytest.approx(products)


def test_labelled_pmbus_pages_pair_by_label_not_by_index(tmp_path):
    values = {"in1_label": "vin", "in1_input": 12_000, "in2_label": "vout1", "in2_input": 1_000}
    values |= {"curr1_label": "iout1", "curr1_input": 30_000}
    hwmon_chip(tmp_path, 0, "platform/i2c-3/3-0060", {"name": "tps53679"} | values)
    assert watts(only(tmp_path)) == {"pout1": 30.0}


def test_a_chip_that_measures_power_has_no_products_of_voltage_and_current(tmp_path):
    values = {"name": "ina226", "in0_input": 2, "in1_input": 12_000, "curr1_input": 1_000, "power1_input": 12_100_000}
    hwmon_chip(tmp_path, 0, "platform/i2c-3/3-0040", values)
    assert watts(only(tmp_path)) == {"power1": 12.1}


def supply(pin_watts):
    values = {"power1_label": "pin", "power1_input": pin_watts * 1_000_000, "in1_label": "vin", "in1_input": 230_000}
    values |= {"power2_label": "pout1", "power2_input": 460_000_000, "curr1_label": "iin", "curr1_input": 2_000}
    return values | {"power1_max": 1_100_000_000}


def test_two_supplies_behind_one_pci_controller_are_two_wall_inputs(tmp_path):
    for index in range(2):
        bus = f"pci0000:00/0000:00:1f.4/i2c-0/0-005{8 + index}"
        hwmon_chip(tmp_path, index, bus, {"name": "pfe1100"} | supply(500 + index), "bel-pfe")
    first, second = discover(tmp_path).probes
    assert (first.name, second.name) == ("hwmon/0-0058", "hwmon/0-0059")
    assert watts(first) == {"wall": 500.0, "pout1": 460.0}
    assert outer(first, "pout1") == (("0-0058", "wall"),)
    assert channel(second, "wall").device.kind is Kind.PSU
    assert channel(second, "wall").max_plausible == 4400.0


def test_the_input_of_a_regulator_is_not_the_wall(tmp_path):
    hwmon_chip(tmp_path, 0, "platform/i2c-3/3-0060", {"name": "xdpe12284"} | supply(500))
    probe = only(tmp_path)
    assert watts(probe) == {"pin": 500.0, "pout1": 460.0}
    assert outer(probe, "pout1") == (("3-0060", "pin"),)
    assert probe.channels[0].device.kind is Kind.BOARD


def test_a_usb_supply_is_identified_by_its_port_and_its_total_contains_its_rails(tmp_path):
    values = {"power1_input": 210_000_000, "power1_label": "power total"}
    values |= {"power2_input": 190_000_000, "power2_label": "power +12v"}
    bus = "pci0000:00/0000:00:14.0/usb1/1-9/1-9:1.0/0003:1B1C:1C05.0004"
    hwmon_chip(tmp_path, 0, bus, {"name": "corsairpsu"} | values, "corsair-psu")
    probe = only(tmp_path)
    assert readings(probe) == {("1-9:1.0", "total", "power_watts"): 210.0, ("1-9:1.0", "+12v", "power_watts"): 190.0}
    assert outer(probe, "+12v") == (("1-9:1.0", "total"),)
    assert probe.channels[0].device.kind is Kind.PSU


def test_otherwise_equal_sensors_have_different_keys(tmp_path):
    rails = {"power1_input": 1_000_000, "power1_label": "rail", "power2_input": 2_000_000, "power2_label": "rail"}
    hwmon_chip(tmp_path, 0, "platform/some", {"name": "some"} | rails)
    assert watts(only(tmp_path)) == {"rail": 1.0, "rail-2": 2.0}


def test_slow_and_fast_package_power_are_the_same_power(tmp_path):
    values = {"power1_average": 9_000_000, "power1_label": "slowPPT"}
    values |= {"power2_average": 9_500_000, "power2_label": "fastPPT"}
    hwmon_chip(tmp_path, 0, "pci0000:00/0000:04:00.0", {"name": "amdgpu"} | values, "amdgpu")
    assert watts(only(tmp_path)) == {"package": 9.0}


@pytest.mark.parametrize(
    ("chip", "more", "method"),
    [
        ("amdgpu", {}, "average"),
        ("lm25066", {"power1_average_interval": 100}, "average"),
        ("lm25066", {}, "instant"),
    ],
    ids=["amdgpu averages briefly", "a stated averaging time", "an average over an unknown time"],
)
def test_only_one_of_average_and_instant_reading_is_used(tmp_path, chip, more, method):
    values = {"name": chip, "power1_average": 90_000_000, "power1_input": 95_000_000}
    hwmon_chip(tmp_path, 0, GPU, values | more)
    probe = only(tmp_path)
    (power,) = probe.channels
    assert power.method == method
    assert probe.read(0) == [90.0 if method == "average" else 95.0]
