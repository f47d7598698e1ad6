from dataclasses import replace

import pytest

import fake_nvml
from fake_nvml import A100, ENERGY, FIELDS, H100
from probes import nvml
from probes.conformance import FakeHost, NotOfferedError, assert_conforms
from probes.model import Roots
from trees import write

ONES_32, ONES_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
BLANK = {
    ENERGY: ONES_64,
    f"{FIELDS}:185:0": ONES_32,
    f"{FIELDS}:185:2": ONES_32,
    f"{FIELDS}:186:0": ONES_32,
    "nvmlDeviceGetPowerUsage": ONES_32,
    "nvmlDeviceGetEnforcedPowerLimit": ONES_32,
    "nvmlDeviceGetUtilizationRates": f"{ONES_32} {ONES_32}",
    "nvmlDeviceGetMemoryInfo_v2": f"{ONES_64} {ONES_64} {ONES_64} {ONES_64}",
    "nvmlDeviceGetClockInfo:1": ONES_32,
    "nvmlDeviceGetClockInfo:2": ONES_32,
    "nvmlDeviceGetTemperature": ONES_32,
    "nvmlDeviceGetCurrentClocksEventReasons": ONES_64,
}
NOT_OF_A_LIBRARY = {
    "garbage",  # every answer of the library is an integer
    "hanging reads",  # a call into the driver cannot be ended; its own thread waits for it (probes/search.py)
    "hanging discovery",
    "suspended discovery",
}


class GpusHost(FakeHost):
    """Two GPUs of the fake driver, with counters that grow only in `advance`."""

    def __init__(self, folder):
        self._library = fake_nvml.build(folder)
        self._folder = folder
        self._gpus = [H100, A100]
        self._millijoules = {H100.uuid: 5_000_000, A100.uuid: 9_000_000}
        self._starts = dict.fromkeys(self._millijoules, 0)
        self._status = [
            write(folder / f"bus/pci/devices/{gpu.bus_id[4:].lower()}/power/runtime_status", "active")
            for gpu in self._gpus
        ]
        self._attached = False
        super().__init__(Roots(sysfs=str(folder), procfs=str(folder / "proc"), nvml_library=str(self._library)))
        self._show()

    def _show(self, raw=(), **changes):
        gpus = []
        for gpu in self._gpus:
            shown = {ENERGY: self._millijoules[gpu.uuid] - self._starts[gpu.uuid], **dict(raw)}
            gpus.append(replace(gpu, raw=shown, **changes))
        fake_nvml.write_state(self._library, gpus)

    def truth(self):
        found = {(f"{uuid}/board", "energy_joules"): count / 1000 for uuid, count in self._millijoules.items()}
        for gpu in (H100, A100):
            found[f"{gpu.uuid}/board", "power_watts"] = gpu.instant_watts
            found[f"{gpu.uuid}/sm", "frequency_hertz"] = gpu.sm_hertz
            found[f"{gpu.uuid}/core", "temperature_celsius"] = float(gpu.celsius)
            found[f"{gpu.uuid}/memory", "memory_total_bytes"] = float(gpu.memory_bytes[1])
        return found

    def advance(self, seconds):
        for gpu in self._gpus:
            self._millijoules[gpu.uuid] += round(gpu.watts * seconds * 1000)
        self._show()

    def reset(self):
        self._starts = dict(self._millijoules)
        self._show()

    def blank(self):
        self._show(BLANK)
        yield "all bits set"

    def refuse(self):
        self._show(error=fake_nvml.UNKNOWN)

    def repair(self):
        self._show()

    def unplug(self):
        self._show(error=fake_nvml.GPU_IS_LOST)

    def replug(self):
        self.reset()

    def renumber(self):
        self._gpus.reverse()
        self._show()

    def attach(self, probes):
        self._attached = bool(probes)

    def suspend(self):
        if not self._attached:
            raise NotOfferedError("suspend before discovery: the library itself wakes the GPUs that it lists")
        for status in self._status:
            write(status, "suspended")
        fake_nvml.take_calls(self._library)

    def touched(self):
        return fake_nvml.take_calls(self._library)

    def written(self):
        return [call for call in fake_nvml.take_calls(self._library) if "Set" in call or "Reset" in call]


@pytest.mark.system
def test_nvml_conforms(tmp_path):
    assert_conforms(nvml.discover, GpusHost, tmp_path, not_exercised=NOT_OF_A_LIBRARY)
