import pytest

from probes import resctrl
from probes.conformance import FakeSensor, TreeHost, assert_conforms
from probes.model import Roots
from trees import copy_tree, write

WATTS = {"core-group": 120, "core-group-llm": 80}
FOLDERS = {"core-group": "", "core-group-llm": "mon_groups/llm/"}


class ResctrlHost(TreeHost):
    """Two packages with the default group and one monitoring group in it."""

    blanks = ("Unavailable", "18446744073709551615")
    containers = frozenset({("package-0", "package"), ("package-1", "package")})

    def __init__(self, folder):
        sysfs = copy_tree("resctrl_aet", folder / "tree")
        sensors = []
        for domain, group in FOLDERS.items():
            for number in (0, 1):
                path = sysfs / f"fs/resctrl/{group}mon_data/mon_PERF_PKG_{number:02}/core_energy"
                write(path, "5000000.000000")
                key = (f"package-{number}/{domain}", "energy_joules")
                sensors.append(FakeSensor(path, key, 1.0, WATTS[domain], form="{}.000000\n"))
        presence = (sysfs / "fs/resctrl/mon_data", sysfs / "fs/resctrl/mon_groups", sysfs / "fs/resctrl/info")
        super().__init__(folder, Roots(sysfs=str(sysfs), procfs=str(folder / "proc")), sensors, presence=presence)


@pytest.mark.system
def test_resctrl_conforms(tmp_path):
    not_exercised = {"hanging reads", "renumbering", "suspension", "suspended discovery"}
    assert_conforms(resctrl.discover, ResctrlHost, tmp_path, not_exercised)
