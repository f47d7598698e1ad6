import pytest

from probes import intel_npu
from probes.conformance import FakeSensor, TreeHost, assert_conforms
from probes.conformance.tree_host import rewrite
from probes.intel_npu.telemetry import MODULUS
from probes.model import Roots
from trees import copy_tree, write
from value_file_hosts import ValueFileHost

NPU = "devices/pci0000:00/0000:00:0b.0"
TELEMETRY = "devices/pci0000:00/0000:00:0a.0/intel_vsec.telemetry.1/intel_pmt/telem1"
PACKAGE = frozenset({("package-0", "package")})


class AttributesHost(ValueFileHost):
    """An NPU without telemetry that is busy a quarter of the time."""

    containers = PACKAGE

    def __init__(self, folder):
        sysfs = copy_tree("intel_npu_lnl", folder / "tree")
        for number in (0, 1):
            (sysfs / f"class/intel_pmt/telem{number}").unlink()
        npu = sysfs / NPU
        place = "0000:00:0b.0/npu"
        sensors = [
            FakeSensor(npu / "npu_busy_time_us", None, 1e6, 250_000),
            FakeSensor(npu / "npu_current_frequency_mhz", (place, "frequency_hertz"), 1e-6),
            FakeSensor(npu / "npu_memory_utilization", (place, "memory_used_bytes"), 1.0),
        ]
        links = (sysfs / "class/accel/accel0",)
        status = write(npu / "power/runtime_status", "active")
        roots = Roots(sysfs=str(sysfs))
        super().__init__(folder, roots, sensors, presence=links, numbered=links, statuses=[status])


class TelemetryHost(TreeHost):
    """An NPU whose telemetry alone is readable: a binary file with the energy at one offset."""

    containers = PACKAGE
    garbage = (b"", b"\0" * 64)

    def __init__(self, folder):
        sysfs = copy_tree("intel_npu_lnl", folder / "tree")
        for name in ("npu_busy_time_us", "npu_current_frequency_mhz", "npu_memory_utilization"):
            (sysfs / NPU / name).unlink()
        self._telemetry = sysfs / TELEMETRY / "telem"
        self._blob = self._telemetry.read_bytes()
        self._counts, self._start = int.from_bytes(self._blob[0x5D0:0x5D4], "little"), 0
        presence = (sysfs / "class/accel/accel0", sysfs / "class/intel_pmt/telem1")
        numbered = (sysfs / "class/intel_pmt/telem0", sysfs / "class/intel_pmt/telem1")
        # The file is no integer, so the host of files only breaks and removes it; this class writes it.
        super().__init__(folder, Roots(sysfs=str(sysfs)), (), presence=presence, numbered=numbered)
        self._sensors = (FakeSensor(self._telemetry, None),)
        self._totals = {self._telemetry: 0}

    def _show(self):
        shown = ((self._counts - self._start) % MODULUS).to_bytes(4, "little")
        rewrite(self._telemetry, self._blob[:0x5D0] + shown + self._blob[0x5D4:])

    def truth(self):
        return {
            ("0000:00:0b.0/npu", "energy_joules"): self._counts / 16384,
            ("0000:00:0b.0/npu", "temperature_celsius"): 45.0,
        }

    def advance(self, seconds):
        self._counts += round(seconds * 4 * 16384)
        self._show()

    def approach_wrap(self):
        self._start = self._counts - (MODULUS - 2 * 16384)
        self._show()

    def reset(self):
        self._start = self._counts
        self._show()

    def blank(self):
        rewrite(self._telemetry, b"\xff" * len(self._blob))
        yield "all bits set"


@pytest.mark.system
def test_the_attributes_of_an_npu_conform(tmp_path):
    assert_conforms(intel_npu.discover, AttributesHost, tmp_path)


@pytest.mark.system
def test_the_telemetry_of_an_npu_conforms(tmp_path):
    left_out = {"suspension", "suspended discovery", "hanging reads"}
    assert_conforms(intel_npu.discover, TelemetryHost, tmp_path, not_exercised=left_out)
