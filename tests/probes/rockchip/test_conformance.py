"""The probe of Rockchip NPUs guarantees what every probe must."""

import pytest

from probes.conformance import FakeSensor, TreeHost, assert_conforms
from probes.model import Roots
from probes.rockchip import discover
from trees import write

NPU = "fdab0000.npu"


@pytest.mark.system
def test_rockchip_npus_conform(tmp_path):
    def host(folder):
        sysfs = folder / "sys"
        load = write(sysfs / "kernel/debug/rknpu/load", "NPU load:  45%")
        clock = write(sysfs / "class/devfreq" / NPU / "cur_freq", 1_000_000_000)
        sensors = [
            FakeSensor(load, (f"{NPU}/npu", "utilization_ratio"), 100, form="NPU load:  {}%\n"),
            FakeSensor(clock, (f"{NPU}/npu", "frequency_hertz"), 1),
        ]
        return TreeHost(folder, Roots(sysfs=str(sysfs)), sensors, presence=[sysfs / "class", sysfs / "kernel"])

    not_exercised = {"hanging reads", "renumbering", "suspension", "suspended discovery"}
    assert_conforms(discover, host, tmp_path, not_exercised)
