"""The probe of Cloud AI 100 cards guarantees what every probe must."""

import pytest

from probes.conformance import assert_conforms
from probes.qaic import discover
from program_host import ProgramHost
from trees import FIXTURES

CAPTURE = (FIXTURES / "qualcomm/qaic-util_-q.txt").read_text()
FIRST, SECOND = "0000:03:00.0", "0000:04:00.0"
SERIAL = CAPTURE.replace("\tSku Type", "\tBoard serial:QC0123\n\tSku Type")
TEXTS = {
    "sound": SERIAL,
    "blank": "".join(
        line.partition("):")[0] + "):N/A\n" if "):" in line else line for line in SERIAL.splitlines(True)
    ).replace("31299524 KB", "N/A"),
    "renumbered": SERIAL.replace("QID 0", "QID 7").replace("QID 1", "QID 4"),
}
VALUES = {
    (f"{FIRST}/board", "power_watts"): 48.0,
    (f"{FIRST}/soc", "power_watts"): 11.0,
    (f"{SECOND}/soc", "power_watts"): 12.0,
    (f"{SECOND}/soc", "temperature_celsius"): 55.0,
    (f"{FIRST}/memory", "memory_total_bytes"): 31299524 * 1024.0,
}


@pytest.mark.system
def test_cloud_ai_100_cards_conform(tmp_path):
    def host(folder):
        return ProgramHost(folder, "qaic-util", 0x17CB, (FIRST, SECOND), TEXTS, VALUES)

    assert_conforms(discover, host, tmp_path)
