import pytest

from probes import ascend
from probes.conformance import assert_conforms
from probes.model import Roots
from program_hosts import ProgramHost
from trees import write
from vendor_programs import FOLDER

CARDS = {"0000:9d:00.0": (178.5, 3416), "0000:99:00.0": (170.9, 2884)}
ROWS = """\
| {number}     Ascend910           | OK            | {watts}       36                0    / 0             |
| 0     0                   | {address}  | {load}           0    / 0          {used} / {total}         |
"""


class NpuSmiHost(ProgramHost):
    """Two cards of one chip each."""

    name = "npu-smi"

    def __init__(self, folder):
        write(folder / "dev/davinci0", "")
        self.printed, self.shown = {}, {}
        for address, (watts, used) in CARDS.items():
            for domain, metric, text, value in (
                ("card", "power_watts", f"{watts}", watts),
                ("chip", "utilization_ratio", "25", 0.25),
                ("chip", "memory_used_bytes", f"{used}", used * 2.0**20),
                ("chip", "memory_total_bytes", "65536", 2.0**36),
            ):
                self.printed[f"{address}/{domain}", metric] = text
                self.shown[f"{address}/{domain}", metric] = value
        super().__init__(folder, Roots(dev=str(folder / "dev"), commands=str(folder / FOLDER)))

    @staticmethod
    def output(texts, order):
        addresses = list(CARDS)
        return "+----+\n".join(
            ROWS.format(
                number=place,
                address=addresses[number].upper(),
                watts=texts[f"{addresses[number]}/card", "power_watts"],
                load=texts[f"{addresses[number]}/chip", "utilization_ratio"],
                used=texts[f"{addresses[number]}/chip", "memory_used_bytes"],
                total=texts[f"{addresses[number]}/chip", "memory_total_bytes"],
            )
            for place, number in enumerate(order)
        )

    @property
    def constants(self):
        """The temperature, which this host does not blank."""
        return frozenset((f"{address}/chip", "temperature_celsius") for address in CARDS)


@pytest.mark.system
def test_ascend_conforms(tmp_path, monkeypatch):
    monkeypatch.setattr(ascend, "SECONDS", 2.0)
    left_out = {"suspension", "suspended discovery"}
    assert_conforms(ascend.discover, NpuSmiHost, tmp_path, not_exercised=left_out)
