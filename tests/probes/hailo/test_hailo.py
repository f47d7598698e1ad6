import pytest

from hwmon_readings import readings
from probes.errors import ProbeUnavailableError
from probes.hailo import discover, parse_power
from probes.model import Roots
from probes.settings import MeterConfig, SensorSettings
from program_cards import program

FIRST, SECOND = "0000:01:00.0", "0001:01:00.0"
OUTPUT = f"Executing on device: {FIRST}\nCurrent power consumption (W): 0.63\nExecuting on device: {SECOND}\n"
TEXT = f"{OUTPUT}Current power consumption (W): 1.5\n"
ON = SensorSettings(meters=(MeterConfig("hailo", "hailo", ""),))


def test_each_device_has_its_power(tmp_path):
    roots = Roots(commands=str(program(tmp_path, "hailortcli", TEXT.encode())))
    (probe,) = discover(roots, ON).probes
    assert readings(probe) == {(FIRST, "card", "power_watts"): 0.63, (SECOND, "card", "power_watts"): 1.5}
    assert dict(probe.channels[0].device.attributes)["pci_address"] == FIRST
    probe.close()


def test_no_measurement_is_made_unless_the_configuration_asks_for_it(tmp_path):
    roots = Roots(commands=str(program(tmp_path, "hailortcli", TEXT.encode())))
    with pytest.raises(ProbeUnavailableError, match="no meter of kind hailo is configured"):
        discover(roots)


def test_a_board_without_the_sensor_is_a_problem(tmp_path):
    folder = program(tmp_path, "hailortcli", f"Executing on device: {FIRST}\n".encode(), code=1)
    (problem,) = discover(Roots(commands=str(folder)), ON).problems
    assert "ended with 1" in problem.reason
    assert "without the power sensor" in problem.remedy


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("Current power consumption (W): 5\n", {}),
        (f"Executing on device: {FIRST}\nCurrent power consumption (mV): 5\n", {FIRST: None}),
        (f"[HailoRT] [warning] old\nExecuting on device: {FIRST}\nCurrent power consumption (W): 5e-1\n", {FIRST: 0.5}),
    ],
)
def test_only_a_power_after_its_device_is_read(text, found):
    assert parse_power(text) == found
