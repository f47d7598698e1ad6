import json
import shutil

import pytest

from probes import fpga
from probes.conformance import FakeSensor, assert_conforms
from probes.model import Roots
from program_hosts import ProgramHost
from trees import copy_tree, write
from value_file_hosts import ValueFileHost
from vendor_programs import FOLDER, VendorProgram

USER, MANAGEMENT = "devices/pci0000:b3/0000:b3:00.1", "devices/pci0000:b3/0000:b3:00.0"
PLACE = ("0000:b3:00.1/card", "power_watts")


def without_hwmon(folder):
    sysfs = copy_tree("alveo", folder / "tree")
    for path in (f"{USER}/xmc.u.1", f"{MANAGEMENT}/xmc.m.0", "devices/pci0000:af/0000:af:00.1"):
        shutil.rmtree(sysfs / path)
    (sysfs / "bus/pci/drivers/xocl/0000:af:00.1").unlink()
    return sysfs


class ControllerHost(ValueFileHost):
    """A card whose controller shows its power in an attribute of its own."""

    def __init__(self, folder):
        sysfs = without_hwmon(folder)
        sensors = [FakeSensor(write(sysfs / USER / "xmc.u.1/xmc_power", 21_500_000), PLACE)]
        links = (sysfs / "bus/pci/drivers/xocl/0000:b3:00.1",)
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, presence=links)


class ReportProgram(VendorProgram):
    """Writes its output into the file that follows --output."""

    def prints(self, output, *, status=0, error=""):
        super().prints(output, status=status, error=error)
        if not status:
            self.runs('for each; do file="$each"; done', f'cat {self._output} > "$file"')


class XrtSmiHost(ProgramHost):
    """A card whose power xrt-smi alone reports."""

    name = "xrt-smi"
    nothing = '{"devices": []}'
    rows = (0,)

    def __init__(self, folder):
        self.printed, self.shown = {PLACE: "20.989838"}, {PLACE: 20.989838}
        sysfs = without_hwmon(folder)
        roots = Roots(sysfs=str(sysfs), commands=str(folder / FOLDER))
        super().__init__(folder, roots, ReportProgram, cards=[sysfs / USER])

    @staticmethod
    def output(texts, _):
        electrical = {"power_consumption_watts": texts[PLACE], "power_consumption_max_watts": "75"}
        return json.dumps({"devices": [{"device_id": "0000:b3:00.1", "electrical": electrical}]})


@pytest.mark.system
def test_the_attribute_of_a_controller_conforms(tmp_path):
    left_out = {"suspension", "suspended discovery", "renumbering"}
    assert_conforms(fpga.discover, ControllerHost, tmp_path, not_exercised=left_out)


@pytest.mark.system
def test_the_report_conforms(tmp_path, monkeypatch):
    monkeypatch.setattr(fpga, "SECONDS", 2.0)
    assert_conforms(fpga.discover, XrtSmiHost, tmp_path, not_exercised={"renumbering"})
