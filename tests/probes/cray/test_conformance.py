import re

import pytest

from probes import cray
from probes.conformance import FakeSensor, TreeHost, assert_conforms
from probes.model import Roots
from trees import copy_tree

UNITS = {
    "energy": ("energy_joules", "J"),
    "power": ("power_watts", "W"),
    "power_cap": ("power_limit_watts", "W"),
    "temp": ("temperature_celsius", "C"),
}
NODE_WATTS = 400


class CrayHost(TreeHost):
    """A node whose controller writes a scan whenever the hardware changes."""

    blanks = ()

    def __init__(self, folder, tree="cray_ex"):
        sysfs = copy_tree(tree, folder / "tree")
        self._folder = sysfs / "cray/pm_counters"
        self._stamp_us, self._scans = 1_800_000_000_000_000, 1
        sensors = [self._sensor(path) for path in sorted(self._folder.iterdir()) if path.name.endswith(tuple(UNITS))]
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, presence=(self._folder,))

    def _sensor(self, path):
        match = re.fullmatch(r"(?:(cpu|memory|accel|cpu\d|accel\d)_)?(energy|power|power_cap|temp)", path.name)
        metric, unit = UNITS[match[2]]
        number, _, stamp, _ = path.read_text().split()
        if number == "0":  # no limit
            path.write_text(f"500 {unit} {stamp} us\n")
        domain = re.sub(r"(\d)", r"-\1", match[1] or "node")
        per_second = NODE_WATTS if match[2] == "energy" else 0
        return FakeSensor(path, (f"pm_counters/{domain}", metric), 1.0, per_second, form=f"{{}} {unit} {stamp} us\n")

    def _show(self):
        super()._show()
        self._stamp_us += 1_000_000
        self._scans += 1
        for sensor in self._sensors:
            sensor.path.write_text(re.sub(r"\d+ us", f"{self._stamp_us} us", sensor.path.read_text()))
        (self._folder / "freshness").write_text(f"{self._scans}\n")


@pytest.mark.system
@pytest.mark.parametrize("tree", ["cray_ex", "cray_gh200"])
def test_cray_conforms(tmp_path, tree):
    not_exercised = {"blanks", "hanging reads", "renumbering", "suspension", "suspended discovery"}
    assert_conforms(cray.discover, lambda folder: CrayHost(folder, tree), tmp_path, not_exercised)
