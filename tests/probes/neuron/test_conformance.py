import json

import pytest

from probes import neuron
from probes.commands import Program
from probes.conformance import assert_conforms
from probes.model import Roots
from probes.neuron import discovery
from program_hosts import ProgramHost
from trees import copy_tree
from vendor_programs import FOLDER

PLACE = "0123456789abcdef"
CORES = [(f"{PLACE}/core-{core}", "utilization_ratio") for core in (0, 1)]
USED, TOTAL = ((f"{PLACE}/memory", f"memory_{which}_bytes") for which in ("used", "total"))


class ProgramAsMonitor:
    """Runs the script again for each report, because a stream would run in the time of the machine."""

    def __init__(self, path):
        self._program = Program(path, 2.0)

    def latest(self):
        return self._program.run()

    def close(self):
        self._program.close()


class MonitorHost(ProgramHost):
    name = "neuron-monitor"
    nothing = "{}"
    rows = (0,)

    def __init__(self, folder):
        self._sysfs = copy_tree("neuron", folder / "tree")
        self.printed = {CORES[0]: 89.5, CORES[1]: 12, USED: 141649980, TOTAL: 34359738368}
        self.shown = {CORES[0]: 0.895, CORES[1]: 0.12, USED: 141649980.0, TOTAL: 34359738368.0}
        super().__init__(folder, Roots(sysfs=str(self._sysfs), commands=str(folder / FOLDER)))

    @staticmethod
    def output(texts, _):
        cores = {str(core): {"neuroncore_utilization": texts[key]} for core, key in enumerate(CORES)}
        report = {
            "neuroncore_counters": {"neuroncores_in_use": cores},
            "memory_used": {"neuron_runtime_used_bytes": {"neuron_device": texts[USED]}},
        }
        hardware = {"neuron_device_memory_size": texts[TOTAL]}
        return json.dumps({"neuron_runtime_data": [{"report": report}], "neuron_hardware_info": hardware})

    def unplug(self):
        super().unplug()
        (self._sysfs / "class/neuron_device").rename(self._sysfs / "class/gone")

    def replug(self):
        (self._sysfs / "class/gone").rename(self._sysfs / "class/neuron_device")
        super().replug()


@pytest.mark.system
def test_neuron_conforms(tmp_path, monkeypatch):
    monkeypatch.setattr(discovery, "Monitor", ProgramAsMonitor)
    left_out = {"suspension", "suspended discovery", "renumbering"}
    assert_conforms(neuron.discover, MonitorHost, tmp_path, not_exercised=left_out)
