import errno
from itertools import product

import pytest

from fake_perf import FakePerf
from probes import perf
from probes.conformance import FakeHost, assert_conforms
from probes.model import Roots
from trees import copy_tree

WATTS = {("package", 2): 150, ("core", 1): 90, ("dram", 3): 30, ("uncore", 4): 0}


class PerfHost(FakeHost):
    """Two sockets whose counters only perf shows."""

    def __init__(self, folder):
        self.kernel = FakePerf()
        self._tree = copy_tree("rapl_pmu", folder / "tree")
        super().__init__(Roots(sysfs=str(self._tree), procfs=str(folder / "proc")))
        self._rates = {
            (f"package-{at}/{domain}", code, cpu): watts
            for (domain, code), watts in WATTS.items()
            for at, cpu in ((0, 0), (1, 24))
        }
        self._rates["psys/psys", 5, 0] = 400
        self._joules = dict.fromkeys(self._rates, 0.0)

    def truth(self):
        return {(path, "energy_joules"): joules for (path, _, _), joules in self._joules.items()}

    def advance(self, seconds):
        for key, watts in self._rates.items():
            _, code, cpu = key
            self._joules[key] += watts * seconds
            counted = (22, code, cpu)
            self.kernel.counts[counted] = self.kernel.counts.get(counted, 0) + round(watts * seconds * 2**32)

    def blank(self):
        self.kernel.answer = b"\xff" * 8
        yield "all bits set"

    def garble(self):
        for self.kernel.answer in (b"", b"1234", b"\xff" * 9):
            yield repr(self.kernel.answer)

    def refuse(self):
        self.kernel.failure = OSError(errno.EIO, "Input/output error")

    def repair(self):
        self.kernel.answer = self.kernel.failure = None

    def unplug(self):
        self.kernel.answer = b""
        (self._tree / "devices/power").rename(self._tree / "devices/gone")

    def replug(self):
        self.kernel.answer = None
        (self._tree / "devices/gone").rename(self._tree / "devices/power")


@pytest.mark.system
def test_perf_conforms(tmp_path):
    hosts = {}

    def build(folder):
        host = PerfHost(folder)
        hosts["current"] = host
        return host

    def discover(roots, settings):
        return perf.discover(roots, settings, hosts["current"].kernel)

    not_exercised = {"hanging reads", "hanging discovery", "resets", "renumbering", "suspension", "suspended discovery"}
    assert_conforms(discover, build, tmp_path, not_exercised)


def test_the_fake_host_has_every_domain_of_both_sockets(tmp_path):
    paths = {path for path, _ in PerfHost(tmp_path).truth()}
    assert paths == {f"package-{n}/{d}" for n, d in product((0, 1), ("package", "core", "dram", "uncore"))} | {
        "psys/psys"
    }
