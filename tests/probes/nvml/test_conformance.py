from dataclasses import replace

import pytest

import fake_nvml
from fake_nvml import A100, A100_MIG, BANDWIDTH, ENERGY, FIELDS, H200, SM, TENSOR, Instance
from probes import nvml
from probes.conformance import FakeHost, FakeSensor, NotOfferedError, TreeHost, assert_conforms
from probes.model import Roots
from trees import write

ONES_32, ONES_64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
BLANK_OF_DCGM = 1 << 47
POWER_CAP, TRANSMITTED = f"{FIELDS}:74:0", f"{FIELDS}:138:{ONES_32}"
RATES = {POWER_CAP: 250_000_000, TRANSMITTED: 30_000_000}
"""The growth of two counters in a second: nanoseconds and kibibytes."""
COUNTED = replace(
    H200,
    thermal_seconds=0.0,
    nvlink_bytes=(0, 0),
    activity={SM: 62.5, TENSOR: 40.0, BANDWIDTH: 30.0},
    samples_apart_ms=0,
)
PART = Instance("MIG-00000000-0000-0000-0000-000000000001", 1, 3, (1 << 30, 20 << 30), 75.0)
SPLIT = replace(A100_MIG, instances=(PART,), samples_apart_ms=0)
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
    POWER_CAP: ONES_64,
    f"{FIELDS}:75:0": ONES_64,
    TRANSMITTED: ONES_64,
    f"{FIELDS}:139:{ONES_32}": ONES_64,
    **{f"gpm:{metric}": BLANK_OF_DCGM for metric in (SM, TENSOR, BANDWIDTH)},
    "gpm:2:1": BLANK_OF_DCGM,
    "nvmlDeviceGetMemoryInfo_v2/1": f"{ONES_64} {ONES_64} {ONES_64} {ONES_64}",
}
NOT_OF_A_LIBRARY = {
    "garbage",  # every answer of the library is an integer
    "hanging reads",  # a call into the driver cannot be ended; its own thread waits for it (probes/search.py)
    "hanging discovery",
    "suspended discovery",
}


class GpusHost(FakeHost):
    """Three GPUs of the fake driver, one of them split, with counters that grow only in `advance`."""

    def __init__(self, folder):
        self._library = fake_nvml.build(folder)
        self._folder = folder
        self._gpus = [COUNTED, A100, SPLIT]
        self._counts = {(gpu.uuid, ENERGY): 5_000_000 + gpu.pci_model for gpu in self._gpus}
        self._counts |= {(COUNTED.uuid, field): 9_000_000 for field in RATES}
        self._starts = dict.fromkeys(self._counts, 0)
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
            counts = {key: count - self._starts[key] for key, count in self._counts.items()}
            shown = {call: count for (uuid, call), count in counts.items() if uuid == gpu.uuid}
            gpus.append(replace(gpu, raw=shown | dict(raw), **changes))
        fake_nvml.write_state(self._library, gpus)

    def truth(self):
        counts = self._counts
        found = {(f"{uuid}/board", "energy_joules"): n / 1e3 for (uuid, call), n in counts.items() if call == ENERGY}
        found[f"{COUNTED.uuid}/power-cap", "throttled_seconds"] = counts[COUNTED.uuid, POWER_CAP] / 1e9
        found[f"{COUNTED.uuid}/nvlink-transmitted", "link_bytes"] = counts[COUNTED.uuid, TRANSMITTED] * 1024.0
        found[f"{SPLIT.uuid}/{PART.uuid}", "memory_used_bytes"] = float(1 << 30)
        for gpu in (COUNTED, A100):
            found[f"{gpu.uuid}/board", "power_watts"] = gpu.instant_watts
            found[f"{gpu.uuid}/sm", "frequency_hertz"] = gpu.sm_hertz
            found[f"{gpu.uuid}/core", "temperature_celsius"] = float(gpu.celsius)
            found[f"{gpu.uuid}/memory", "memory_total_bytes"] = float(gpu.memory_bytes[1])
        return found

    def advance(self, seconds):
        for gpu in self._gpus:
            self._counts[gpu.uuid, ENERGY] += round(gpu.watts * seconds * 1000)
        for field, per_second in RATES.items():
            self._counts[COUNTED.uuid, field] += round(per_second * seconds)
        self._show()

    def reset(self):
        self._starts = dict(self._counts)
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


class JetsonHost(TreeHost):
    """The load of a Jetson's GPU, without NVIDIA's driver library."""

    containers = frozenset({("module", "module")})

    def __init__(self, folder):
        sysfs = folder / "sys"
        load = write(sysfs / "class/devfreq/17000000.gpu/device/load", 437)
        sensors = [FakeSensor(load, ("17000000.gpu/board", "utilization_ratio"), 1e3)]
        roots = Roots(sysfs=str(sysfs), nvml_library=str(folder / "nowhere.so"))
        super().__init__(folder, roots, sensors, presence=(load,))


@pytest.mark.system
def test_the_load_of_a_jetson_conforms(tmp_path):
    left_out = {"hanging reads", "renumbering", "suspension", "suspended discovery"}
    assert_conforms(nvml.discover, JetsonHost, tmp_path, not_exercised=left_out)


@pytest.mark.system
def test_nvml_conforms(tmp_path):
    assert_conforms(nvml.discover, GpusHost, tmp_path, not_exercised=NOT_OF_A_LIBRARY)
