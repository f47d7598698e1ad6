"""The probe of Coral Edge TPUs guarantees what every probe must."""

import pytest

from probes.conformance import FakeSensor, TreeHost, assert_conforms
from probes.coral import discover
from probes.model import Roots
from trees import copy_tree, write

ADDRESS = "0000:05:00.0"


@pytest.mark.system
def test_coral_edge_tpus_conform(tmp_path):
    def host(folder):
        sysfs = copy_tree("coral", folder / "tree")
        home = sysfs / f"devices/pci0000:05/{ADDRESS}"
        temp, status = home / "apex/apex_0/temp", write(home / "power/runtime_status", "active")
        return TreeHost(
            folder,
            Roots(sysfs=str(sysfs)),
            [FakeSensor(temp, (f"{ADDRESS}/chip", "temperature_celsius"), 1000)],
            presence=[home, sysfs / "bus/pci/devices" / ADDRESS],
            numbered=[home / "apex/apex_0"],
            statuses=[status],
        )

    assert_conforms(discover, host, tmp_path, {"hanging reads"})
