import pytest

from probes import scmi
from probes.conformance import FakeSensor, assert_conforms
from probes.model import Roots
from trees import copy_tree
from value_file_hosts import ValueFileHost

ZONES = {"arm-scmi:0": "arm-scmi/soc", "arm-scmi:0:0": "arm-scmi/cluster0"}


class ScmiHost(ValueFileHost):
    """The chip and one cluster of it."""

    containers = frozenset({("scmi_dev.5", "soc")})

    def __init__(self, folder):
        sysfs = copy_tree("arm_scmi", folder / "tree")
        zones = sysfs / "class/powercap"
        sensors = [FakeSensor(zones / link / "power_uw", (path, "power_watts")) for link, path in ZONES.items()]
        presence = [zones / link for link in ZONES]
        super().__init__(folder, Roots(sysfs=str(sysfs), procfs=str(folder / "proc")), sensors, presence=presence)


@pytest.mark.system
def test_scmi_conforms(tmp_path):
    not_exercised = {"renumbering", "suspension", "suspended discovery"}
    assert_conforms(scmi.discover, ScmiHost, tmp_path, not_exercised)
