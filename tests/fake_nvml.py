"""A fake NVIDIA driver: the real binding loads it, and it answers as the test specifies.

    library = fake_nvml.build(tmp_path)                     # skips the test if gcc is missing
    fake_nvml.write_state(library, [fake_nvml.H100])        # again at any time, for the next call
    nvml.discover(Roots(nvml_library=str(library)))         # or give a process `--path.nvml-library <library>`

A process has one fake: every `build` in it gives a link to the same library, so each test writes its state first.
Another process with the path has the same state; its energy counter starts at its first read.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fake_gpus import A100, A100_MIG, GB200, H100, H200, T4, Gpu, Instance

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["A100", "A100_MIG", "GB200", "H100", "H200", "T4", "Gpu", "Instance"]

SOURCE = Path(__file__).parent / "fixtures/nvml/fake_nvml.c"
NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, DRIVER_NOT_LOADED, TIMEOUT, FUNCTION_NOT_FOUND = 3, 4, 6, 9, 10, 13
GPU_IS_LOST, VERSION_MISMATCH, UNKNOWN = 15, 18, 999
ENERGY, FIELDS = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetFieldValues"
SLICES, SAMPLE = "nvmlDeviceGetAttributes_v2", "nvmlGpmSampleGet"
SM, TENSOR, BANDWIDTH = 2, 5, 10
"""Metrics of the performance counters."""
_ALL_LINKS = 0xFFFFFFFF
PROGRAMS, BUSY = "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetProcessUtilization"


def build(folder: Path) -> Path:
    """Put libnvidia-ml.so.1 into `folder` and return its path; skip the test if there is no compiler."""
    library = folder / "libnvidia-ml.so.1"
    if not library.exists():
        library.symlink_to(_compiled())
    return library


def write_state(
    library: Path,
    gpus: Sequence[Gpu],
    driver: str = "580.105.08",
    errors: Mapping[str, int] | None = None,
) -> None:
    """Set the GPUs of the library from now on; `errors` are return codes of calls about no GPU."""
    lines = [f"nvmlSystemGetDriverVersion {driver}", f"nvmlDeviceGetCount_v2 {len(gpus)}"]
    lines[:0] = [f"{function} !{code}" for function, code in (errors or {}).items()]
    for gpu in gpus:
        lines += ["gpu", *_answers(gpu)]
    state = library.resolve().with_name("state")
    written = state.with_suffix(".new")
    written.write_text("\n".join(lines) + "\n", errors="surrogateescape")
    written.replace(state)


def open_sessions(library: Path) -> int:
    """Return the number of open sessions of this process."""
    return int(ctypes.CDLL(str(library)).fake_nvml_sessions())


def live_samples(library: Path) -> int:
    """Return the number of samples of performance counters that this process has not freed."""
    return int(ctypes.CDLL(str(library)).fake_nvml_samples())


def wait_for_samples() -> None:
    """Wait until two samples of performance counters are far enough apart for the driver."""
    time.sleep(0.101)


def take_calls(library: Path) -> list[str]:
    """Return the functions that this process called since the last query, in order."""
    text = ctypes.create_string_buffer(1 << 16)
    ctypes.CDLL(str(library)).fake_nvml_take_calls(text, len(text))
    return text.value.decode().split()


@functools.cache
def _compiled() -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = Path(tempfile.mkdtemp(prefix="fake-nvml-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-pthread", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{library.name}"]
    state = f'-DFAKE_NVML_STATE="{folder / "state"}"'
    subprocess.run(["gcc", *flags, state, "-o", str(library), str(SOURCE)], check=True)
    return library


def _answers(gpu: Gpu) -> Iterable[str]:
    if gpu.error:
        yield f"* !{gpu.error}"
    if gpu.delay_seconds:
        yield f"delay_us {gpu.delay_seconds * 1e6:.0f}"
    yield from (f"{function} !{code}" for function, code in gpu.errors.items())
    yield from (f"{function} {value}" for function, value in gpu.raw.items())
    if gpu.energy_joules is not None:
        yield f"energy {gpu.energy_joules * 1000:.0f} {gpu.watts} {gpu.refresh_ms}"
    if gpu.memory_bytes is not None:
        used, total = gpu.memory_bytes
        yield f"nvmlDeviceGetMemoryInfo_v2 {total} 0 {total - used} {used}"
    if gpu.utilization_ratio is not None:
        yield f"nvmlDeviceGetUtilizationRates {gpu.utilization_ratio * 100:.0f} 0"
    if gpu.programs is not None:
        yield f"{PROGRAMS} {' '.join(map(str, gpu.programs))}"
    if gpu.busy_ratios is not None:
        yield f"{BUSY} {' '.join(f'{pid}:{ratio * 100:.0f}' for pid, ratio in gpu.busy_ratios.items())}"
    if gpu.nvlink_bytes is not None:
        for field, value in zip((138, 139), gpu.nvlink_bytes, strict=True):
            yield f"{FIELDS}:{field}:{_ALL_LINKS} {value // 1024}"
    yield from _activity(gpu)
    yield f"nvmlDeviceGetPciInfo_v3 {gpu.bus_id} {gpu.pci_model << 16 | 0x10DE:#x}"
    plain: dict[str, object] = {
        "nvmlDeviceGetUUID": gpu.uuid,
        "nvmlDeviceGetName": gpu.name,
        "nvmlDeviceGetSerial": gpu.serial,
        "nvmlDeviceGetArchitecture": gpu.architecture,
        "nvmlDeviceGetBoardId": gpu.board_id,
        "nvmlDeviceGetModuleId": gpu.module_id,
        "nvmlDeviceGetMigMode": None if gpu.mig is None else int(gpu.mig),
        "nvmlDeviceGetTemperature": gpu.celsius,
        "nvmlDeviceGetTemperatureV": gpu.celsius,
        "nvmlDeviceGetCurrentClocksEventReasons": gpu.throttle_reasons,
        "nvmlDeviceGetCurrentClocksThrottleReasons": gpu.throttle_reasons,
    }
    yield from (f"{function} {value}" for function, value in plain.items() if value is not None)
    thousands: dict[str, float | None] = {
        "nvmlDeviceGetPowerUsage": gpu.power_watts,
        "nvmlDeviceGetEnforcedPowerLimit": gpu.limit_watts,
        f"{FIELDS}:186:0": gpu.instant_watts,
        f"{FIELDS}:185:0": gpu.average_watts,
        f"{FIELDS}:186:1": gpu.module_instant_watts,
        f"{FIELDS}:185:1": gpu.module_average_watts,
        f"{FIELDS}:186:2": gpu.memory_instant_watts,
        f"{FIELDS}:185:2": gpu.memory_average_watts,
        f"{FIELDS}:188:0": gpu.highest_limit_watts,
        f"{FIELDS}:188:1": gpu.module_limit_watts,
    }
    yield from (f"{function} {value * 1000:.0f}" for function, value in thousands.items() if value is not None)
    throttled = {f"{FIELDS}:74:0": gpu.power_capped_seconds, f"{FIELDS}:75:0": gpu.thermal_seconds}
    yield from (f"{function} {value * 1e9:.0f}" for function, value in throttled.items() if value is not None)
    clocks = {"nvmlDeviceGetClockInfo:1": gpu.sm_hertz, "nvmlDeviceGetClockInfo:2": gpu.memory_hertz}
    yield from (f"{function} {value / 1e6:.0f}" for function, value in clocks.items() if value is not None)


def _activity(gpu: Gpu) -> Iterable[str]:
    if gpu.activity is not None or any(each.activity is not None for each in gpu.instances):
        yield "nvmlGpmQueryDeviceSupport 1"
        yield f"gpm_ms {gpu.samples_apart_ms}"
    if gpu.instances:
        yield f"nvmlDeviceGetMaxMigDeviceCount {len(gpu.instances) + 2}"
    for index, each in enumerate(gpu.instances, 1):  # the driver has gaps in its numbers
        yield f"nvmlDeviceGetMigDeviceHandleByIndex/{index} 1"
        yield f"nvmlDeviceGetUUID/{index} {each.uuid}"
        yield f"nvmlDeviceGetGpuInstanceId/{index} {each.number}"
        if each.slices is not None:
            yield f"{SLICES}/{index} {each.slices}"
        if each.memory_bytes is not None:
            used, total = each.memory_bytes
            yield f"nvmlDeviceGetMemoryInfo_v2/{index} {total} 0 {total - used} {used}"
        if each.activity is not None:
            yield f"gpm:{SM}:{each.number} {each.activity}"
    yield from (f"gpm:{metric} {percent}" for metric, percent in (gpu.activity or {}).items())
