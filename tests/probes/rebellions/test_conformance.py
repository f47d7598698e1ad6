"""The probe of Rebellions NPUs guarantees what every probe must."""

import json

import pytest

from probes.conformance import assert_conforms
from probes.rebellions import PROGRAM, discover
from program_host import ProgramHost
from trees import FIXTURES

CAPTURE = (FIXTURES / "rebellions/rbln-stat.json").read_text()
FIRST, SECOND = "4126c167-c7a6-4d0a-80dd-ffbf3641d1b0", "a58a772b-1a27-4df3-823d-bd1d26627f74"
ADDRESSES = ("0000:03:00.0", "0000:04:00.0")
TEXTS = {
    "sound": CAPTURE,
    "blank": CAPTURE.replace("17521800uW", "N/A")
    .replace("18307255uW", "-")
    .replace('"0.0"', "null")
    .replace('"31C"', '"N/A"')
    .replace('"33C"', '""')
    .replace('"16877879296"', "null")
    .replace('"used":"0"', '"used":"-"'),
    "renumbered": json.dumps({"devices": json.loads(CAPTURE)["devices"][::-1]}),
}
VALUES = {
    (f"{FIRST}/card", "power_watts"): 17.5218,
    (f"{SECOND}/card", "power_watts"): 18.307255,
    (f"{FIRST}/card", "temperature_celsius"): 31.0,
    (f"{SECOND}/memory", "memory_total_bytes"): 16877879296.0,
    (f"{SECOND}/card", "utilization_ratio"): 0.0,
}


@pytest.mark.system
def test_rebellions_npus_conform(tmp_path):
    def host(folder):
        return ProgramHost(folder, PROGRAM.name, PROGRAM.vendor, ADDRESSES, TEXTS, VALUES)

    assert_conforms(discover, host, tmp_path)
