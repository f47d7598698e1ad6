"""The probe of Hailo accelerators guarantees what every probe must."""

import pytest

from probes.conformance import NotOfferedError, assert_conforms
from probes.hailo import discover
from probes.settings import MeterConfig, SensorSettings
from program_host import ProgramHost

FIRST, SECOND = "0000:01:00.0", "0001:01:00.0"
OUTPUT = f"Executing on device: {FIRST}\nCurrent power consumption (W): 0.63\nExecuting on device: {SECOND}\n"
TEXT = f"{OUTPUT}Current power consumption (W): 1.5\n"
ON = SensorSettings(meters=(MeterConfig("hailo", "hailo", ""),))
TEXTS = {
    "sound": TEXT,
    "blank": TEXT.replace("0.63", "nan").replace("1.5", "N/A"),
    "renumbered": f"Executing on device: {SECOND}\nCurrent power consumption (W): 1.5\n"
    + OUTPUT[: OUTPUT.rindex("Exec")],
}
VALUES = {(f"{FIRST}/card", "power_watts"): 0.63, (f"{SECOND}/card", "power_watts"): 1.5}


class HailoHost(ProgramHost):
    """The driver of Hailo's devices has no suspend state."""

    def suspend(self):
        raise NotOfferedError("suspend")


@pytest.mark.system
def test_hailo_accelerators_conform(tmp_path):
    def host(folder):
        return HailoHost(folder, "hailortcli", 0x1E60, (FIRST, SECOND), TEXTS, VALUES, ON)

    not_exercised = {"suspension", "suspended discovery"}
    assert_conforms(discover, host, tmp_path, not_exercised)
