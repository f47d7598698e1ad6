"""The total of Jetsons that have no tree: each watt of the module counts once."""

from pathlib import Path

from agent.energy.counted_sensors import Boundary, coverage
from hwmon_readings import discover
from trees import hwmon_chip, write


def monitor(sysfs: Path, address: str, number: int, rails: dict[str, int]) -> None:
    """Make a power monitor of JetPack 4."""
    home = sysfs / "devices/i2c-0" / address
    for position, (label, milliwatts) in enumerate(rails.items()):
        write(home / f"iio:device{number}/rail_name_{position}", label)
        write(home / f"iio:device{number}/in_power{position}_input", milliwatts)
    link = sysfs / "bus/i2c/drivers/ina3221x" / address
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(home)


def total(sysfs: Path):
    probes = discover(sysfs).probes
    covered = coverage([channel for probe in probes for channel in probe.channels])
    return covered.boundary, {channel.path for channel in covered.includes}


def test_the_input_of_a_tx2_is_its_total_although_another_monitor_has_further_rails(tmp_path):
    monitor(tmp_path, "0-0040", 0, {"VDD_SYS_GPU": 1159, "VDD_SYS_SOC": 500, "VDD_4V0_WIFI": 40})
    monitor(tmp_path, "0-0041", 1, {"VDD_IN": 5200, "VDD_SYS_CPU": 900, "VDD_SYS_DDR": 700})
    assert total(tmp_path) == (Boundary.COMPONENTS, {"0-0041/module"})


def test_the_rails_of_an_agx_xavier_which_has_no_input_meter_are_added(tmp_path):
    monitor(tmp_path, "1-0040", 0, {"GPU": 1000, "CPU": 2000, "SOC": 1500})
    monitor(tmp_path, "1-0041", 1, {"CV": 100, "VDDRQ": 600, "SYS5V": 2100})
    _, included = total(tmp_path)
    assert included == {f"1-0040/{rail}" for rail in ("gpu", "cpu", "soc")} | {
        f"1-0041/{rail}" for rail in ("cv", "vddrq", "sys5v")
    }


def test_the_input_of_a_thor_is_its_total(tmp_path):
    (tmp_path / "firmware/devicetree/base").mkdir(parents=True)
    (tmp_path / "firmware/devicetree/base/model").write_bytes(b"NVIDIA Jetson AGX Thor Developer Kit\0")
    hwmon_chip(tmp_path, 1, "platform/i2c-2/2-0044", {"name": "ina238", "power1_input": 41_250_000}, "ina238")
    rails = {f"in{n}_label": label for n, label in enumerate(("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"), 1)}
    values = {f"{what}{n}_input": 5000 for n in (1, 2, 3) for what in ("in", "curr")}
    hwmon_chip(tmp_path, 3, "platform/i2c-2/2-0040", {"name": "ina3221"} | rails | values, "ina3221")
    assert total(tmp_path) == (Boundary.NODE, {"2-0044/dc_input"})
