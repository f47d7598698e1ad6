import pytest

from probes import rapl
from probes.conformance import BLANKS, FakeSensor, assert_conforms
from trees import powercap_zone, roots
from value_file_hosts import ValueFileHost

RANGE = 262_143_328_850
ZONES = {
    "intel-rapl:0": ("package-0", "package-0/package", 90_000_000, 120_000_000),
    "intel-rapl:0:0": ("dram", "package-0/dram", 8_000_000, 0),
    "intel-rapl:1": ("package-1", "package-1/package", 60_000_000, 120_000_000),
    "intel-rapl:1:0": ("core", "package-1/core", 40_000_000, 0),
}


class PowercapHost(ValueFileHost):
    blanks = (*BLANKS, str(RANGE))

    def __init__(self, folder):
        sysfs = folder / "sys"
        self._zones = sysfs / "class/powercap"
        sensors = []
        for start, (zone, (name, path, watts_uw, limit_uw)) in enumerate(ZONES.items(), 1):
            file = powercap_zone(sysfs, zone, name, start * 10**9, RANGE, limit_uw) / "energy_uj"
            modulus = rapl.modulus_microjoules(RANGE)
            sensors.append(FakeSensor(file, (path, "energy_joules"), 1e6, watts_uw, modulus))
        super().__init__(folder, roots(sysfs, folder), sensors, presence=tuple(self._zones.iterdir()))

    def renumber(self):
        for link in sorted(self._zones.iterdir()):
            socket = link.name.split(":")[1]
            link.rename(link.with_name(link.name.replace(f"rapl:{socket}", f"rapl:{'ba'[int(socket)]}")))


@pytest.mark.system
def test_rapl_conforms(tmp_path):
    left_out = {"suspension", "suspended discovery"}
    assert_conforms(rapl.discover, PowercapHost, tmp_path, not_exercised=left_out)
