import pytest

from hwmon_readings import channel, discover, only, outer, watts
from probes.model import Kind
from trees import hwmon_chip, write


def jetson(labels):
    values = {"name": "ina3221", "update_interval": 2}
    for index, label in enumerate(labels, 1):
        values |= {f"in{index}_label": label, f"in{index}_input": 5000, f"curr{index}_input": 1000 * index}
    for index in range(4, 8):
        values |= {f"in{index}_label": "sum of shunt voltages", f"in{index}_input": 99}
    return values


def test_the_input_of_a_jetson_module_contains_its_rails(tmp_path):
    bus = "platform/bus@0/c240000.i2c/i2c-1/1-0040"
    hwmon_chip(tmp_path, 3, bus, jetson(["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]), "ina3221")
    probe = only(tmp_path)
    assert probe.name == "hwmon/1-0040"
    assert watts(probe) == {"module": 5.0, "vdd_cpu_gpu_cv": 10.0, "vdd_soc": 15.0}
    assert outer(probe, "vdd_cpu_gpu_cv") == outer(probe, "vdd_soc") == (("1-0040", "module"),)
    assert outer(probe, "module") == ()
    assert channel(probe, "module").method == "volts*amperes"
    assert channel(probe, "module").refresh_seconds == 0.002
    assert probe.channels[0].device.kind is Kind.BOARD


def test_rails_of_a_jetson_without_a_total_are_siblings_and_nc_is_ignored(tmp_path):
    hwmon_chip(tmp_path, 3, "platform/c240000.i2c/i2c-1/1-0040", jetson(["VDD_GPU_SOC", "NC", "VIN_SYS_5V0"]))
    probe = only(tmp_path)
    assert watts(probe) == {"vdd_gpu_soc": 5.0, "vin_sys_5v0": 15.0}
    assert {c.contained_in for c in probe.channels} == {()}


def iio_monitor(sysfs, address, rails, folder="iio:device0"):
    """Make a power monitor of JetPack 4: rails by their label, in milliwatts."""
    home = sysfs / f"devices/7000c400.i2c/i2c-6/{address}"
    for number, (label, milliwatts) in enumerate(rails.items()):
        write(home / folder / f"rail_name_{number}", label)
        write(home / folder / f"in_power{number}_input", milliwatts)
        write(home / folder / f"in_voltage{number}_input", 4990)
    drivers = sysfs / "bus/i2c/drivers/ina3221x"
    drivers.mkdir(parents=True, exist_ok=True)
    (drivers / address).symlink_to(home)
    return home / folder


@pytest.mark.parametrize("folder", ["iio:device0", "iio_device"])
def test_the_rails_of_a_jetson_before_jetpack_5_are_in_milliwatts_and_within_its_input(tmp_path, folder):
    (tmp_path / "firmware/devicetree/base").mkdir(parents=True)
    (tmp_path / "firmware/devicetree/base/model").write_bytes(b"NVIDIA Jetson Nano Developer Kit\0")
    iio_monitor(tmp_path, "6-0040", {"POM_5V_IN": 2875, "POM_5V_GPU": 160, "POM_5V_CPU": 804}, folder)
    probe = only(tmp_path)
    assert probe.name == "hwmon/6-0040"
    assert watts(probe) == {"module": 2.875, "pom_5v_gpu": 0.16, "pom_5v_cpu": 0.804}
    assert outer(probe, "pom_5v_gpu") == (("6-0040", "module"),)
    assert channel(probe, "module").device.name == "NVIDIA Jetson Nano Developer Kit"
    assert channel(probe, "module").method == "instant"


def test_the_input_of_a_jetson_contains_the_rails_of_its_other_monitor(tmp_path):
    iio_monitor(tmp_path, "0-0040", {"VDD_SYS_GPU": 1159, "VDD_SYS_SOC": 500, "NC": 0})
    iio_monitor(tmp_path, "0-0041", {"VDD_IN": 5200, "VDD_SYS_CPU": 900}, "iio:device1")
    rails, whole = discover(tmp_path).probes
    assert outer(rails, "vdd_sys_gpu") == (("0-0041", "module"),)
    assert watts(rails) == {"vdd_sys_gpu": 1.159, "vdd_sys_soc": 0.5}
    assert outer(whole, "module") == ()


@pytest.mark.parametrize(
    ("model", "domain"),
    [("NVIDIA Jetson AGX Thor Developer Kit", "dc_input"), ("Thor's server", "power1"), ("", "power1")],
)
def test_the_ina238_of_a_jetson_thor_measures_its_input(tmp_path, model, domain):
    (tmp_path / "firmware/devicetree/base").mkdir(parents=True)
    (tmp_path / "firmware/devicetree/base/model").write_bytes(model.encode() + b"\0")
    values = {"name": "ina238", "power1_input": 41_250_000, "in0_input": 3, "in1_input": 20_000, "curr1_input": 2062}
    hwmon_chip(tmp_path, 1, "platform/i2c-2/2-0044", values, "ina238")
    hwmon_chip(tmp_path, 3, "platform/i2c-2/2-0040", jetson(["VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"]), "ina3221")
    rails, whole = discover(tmp_path).probes
    assert watts(whole) == {domain: 41.25}
    assert outer(whole, domain) == ()
    assert outer(rails, "vdd_gpu") == ((("2-0044", "dc_input"),) if domain == "dc_input" else ())
    assert channel(rails, "vdd_gpu").device.name == (model if "Jetson" in model else "ina3221")


def test_a_disabled_rail_is_not_read(tmp_path):
    values = jetson(["VDD_IN", "VDD_SOC"]) | {"in2_enable": 0}
    hwmon_chip(tmp_path, 3, "platform/c240000.i2c/i2c-1/1-0040", values)
    assert watts(only(tmp_path)) == {"module": 5.0}
