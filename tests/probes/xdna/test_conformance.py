"""The probe of AMD's NPUs guarantees what every probe must."""

import errno
import shutil

import pytest

from fake_xdna import ADDRESS, FakeDriver, npu
from probes.conformance import FakeHost, assert_conforms
from probes.model import Roots
from probes.xdna import discover
from trees import write


class NpuHost(FakeHost):
    """One NPU, whose node is a pipe while it hangs."""

    containers = frozenset({("package-0", "package")})

    def __init__(self, folder):
        self._sysfs, self._dev = folder / "sys", folder / "dev"
        self._home = npu(self._sysfs, self._dev)
        self.driver = FakeDriver()
        self._asleep_at = None
        super().__init__(Roots(sysfs=str(self._sysfs), dev=str(self._dev), procfs=str(folder / "proc")))

    def truth(self):
        return {
            (f"{ADDRESS}/npu", "power_watts"): self.driver.milliwatts / 1000,
            (f"{ADDRESS}/npu", "utilization_ratio"): sum(self.driver.columns) / len(self.driver.columns) / 100,
        }

    def advance(self, seconds):
        self.driver.milliwatts += round(10 * seconds)

    def blank(self):
        self.driver.milliwatts, self.driver.columns = 0xFFFFFFFF, [0xFFFFFFFF] * 4
        yield "all bits set"

    def garble(self):
        for raw in (b"", b"\xff" * 167, b"\xff" * 168, b"\x00" * 100, b"\x02" * 168):
            self.driver.raw = raw
            yield repr(raw[:4])

    def refuse(self):
        self.driver.error = errno.EIO

    def repair(self):
        self.driver.milliwatts, self.driver.columns, self.driver.raw, self.driver.error = 1204, [50, 30, 0, 0], None, 0

    def unplug(self):
        self._aside = self._sysfs.parent / "aside"
        shutil.move(self._home, self._aside)
        (self._sysfs / "bus/pci/devices" / ADDRESS).unlink()
        (self._dev / "accel/accel0").unlink()

    def replug(self):
        shutil.move(self._aside, self._home)
        (self._sysfs / "bus/pci/devices" / ADDRESS).symlink_to(self._home)
        (self._dev / "accel/accel0").touch()

    def renumber(self):
        for home in (self._home / "accel", self._dev / "accel"):
            (home / "accel0").rename(home / "accel7")

    def suspend(self):
        write(self._home / "power/runtime_status", "suspended")
        self._asleep_at = self.driver.requests

    def touched(self):
        return ["a query"] if self.driver.requests != self._asleep_at else []

    def written(self):
        return []


@pytest.mark.system
def test_amd_npus_conform(tmp_path):
    hosts = []

    def build(folder):
        hosts.append(NpuHost(folder))
        return hosts[-1]

    def discover_here(roots, settings):
        return discover(roots, settings, hosts[-1].driver.ioctl)

    assert_conforms(discover_here, build, tmp_path, {"hanging reads", "hanging discovery"})
