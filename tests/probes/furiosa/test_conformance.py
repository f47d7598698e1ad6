"""The probe of Furiosa NPUs guarantees what every probe must."""

import json

import pytest

from probes.conformance import assert_conforms
from probes.furiosa import PROGRAM, discover
from program_host import ProgramHost
from trees import FIXTURES

CAPTURE = (FIXTURES / "furiosa/furiosa-smi_info.json").read_text()
UUID = "09512C86-0702-4303-8F40-474746474A40"
ADDRESS = "0000:03:00.0"
OTHER = {**json.loads(CAPTURE)[0], "device_uuid": "C0413086-0708-4606", "dev_name": "npu1", "power": "40.00 W"}
BOTH = [*json.loads(CAPTURE), OTHER]
BLANK = CAPTURE.replace("38.40 W", "N/A").replace("40.98°C", "-").replace("1000 MHz", "")
TEXTS = {"sound": json.dumps(BOTH), "blank": BLANK, "renumbered": json.dumps(BOTH[::-1])}
VALUES = {
    (f"{UUID}/card", "power_watts"): 38.4,
    ("C0413086-0708-4606/card", "power_watts"): 40.0,
    (f"{UUID}/core", "temperature_celsius"): 40.98,
    (f"{UUID}/core", "frequency_hertz"): 1e9,
}


@pytest.mark.system
def test_furiosa_npus_conform(tmp_path):
    def host(folder):
        return ProgramHost(folder, PROGRAM.name, PROGRAM.vendor, (ADDRESS, "0000:45:00.0"), TEXTS, VALUES)

    assert_conforms(discover, host, tmp_path)
