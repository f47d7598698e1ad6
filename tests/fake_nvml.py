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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SOURCE = Path(__file__).parent / "fixtures/nvml/fake_nvml.c"
NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, DRIVER_NOT_LOADED, TIMEOUT, FUNCTION_NOT_FOUND = 3, 4, 6, 9, 10, 13
GPU_IS_LOST, VERSION_MISMATCH, UNKNOWN = 15, 18, 999
ENERGY, FIELDS = "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetFieldValues"
PROGRAMS, BUSY = "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetProcessUtilization"


@dataclass(frozen=True, slots=True)
class Gpu:
    """The answers of a fake GPU, in SI units; None is "not supported".

    The energy counter starts at `energy_joules` and grows by `watts` in steps of `refresh_ms` for as long as the
    process lives; another value of `energy_joules` starts it again. `power_watts` is the answer of
    nvmlDeviceGetPowerUsage; the other powers and the two last limits are fields of their scope.
    `programs` are the processes that have it open, `busy_ratios` the shares of the time in which each kept it busy.
    `raw` gives the literal answer of a function, or of a field as `nvmlDeviceGetFieldValues:<field>:<scope>`, and
    `errors` its return code; `error` is the return code of every call about this GPU.
    """

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    bus_id: str = "00000000:53:00.0"
    pci_model: int = 0x2330
    architecture: int = 9
    serial: str | None = "1650000000001"
    board_id: int | None = 0x5300
    module_id: int | None = 7
    mig: bool | None = False
    energy_joules: float | None = 1000.0
    watts: float = 68.5
    refresh_ms: float = 20.0
    power_watts: float | None = None
    instant_watts: float | None = None
    average_watts: float | None = None
    memory_instant_watts: float | None = None
    memory_average_watts: float | None = None
    module_instant_watts: float | None = None
    module_average_watts: float | None = None
    limit_watts: float | None = None
    highest_limit_watts: float | None = None
    module_limit_watts: float | None = None
    utilization_ratio: float | None = 0.0
    memory_bytes: tuple[int, int] | None = (0, 81559 << 20)
    sm_hertz: float | None = 345e6
    memory_hertz: float | None = 2619e6
    celsius: int | None = 29
    throttle_reasons: int | None = 1
    programs: tuple[int, ...] | None = ()
    busy_ratios: Mapping[int, float] | None = field(default_factory=dict)
    delay_seconds: float = 0.0
    error: int = 0
    raw: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)


H100 = Gpu(
    "GPU-00000000-0000-0000-0000-000000000100",
    power_watts=68.57,
    instant_watts=68.92,
    average_watts=68.57,
    memory_average_watts=32.98,
    limit_watts=700.0,
    highest_limit_watts=700.0,
)
"""As a public nvidia-smi capture of an H100 shows (driver 580.105.08)."""

A100 = Gpu(
    "GPU-00000000-0000-0000-0000-00000000a100",
    name="NVIDIA A100-SXM4-40GB",
    bus_id="00000000:06:00.0",
    pci_model=0x20B0,
    architecture=7,
    serial="1650000000002",
    board_id=0x600,
    watts=49.68,
    power_watts=49.68,
    instant_watts=49.68,
    limit_watts=400.0,
    highest_limit_watts=400.0,
    memory_bytes=(0, 40960 << 20),
    sm_hertz=210e6,
    memory_hertz=1215e6,
    celsius=33,
)
"""As a public nvidia-smi capture of an A100 shows: no average power (driver 570.148.08)."""

A100_MIG = Gpu(
    "GPU-513536b6-7d19-9063-b049-1e69664bb298",
    name="NVIDIA A100-SXM4-80GB",
    bus_id="00000000:01:00.0",
    pci_model=0x20B2,
    architecture=7,
    serial="1650000000003",
    board_id=0x100,
    module_id=4,
    mig=True,
    watts=67.03,
    power_watts=67.03,
    limit_watts=500.0,
    utilization_ratio=None,
    memory_bytes=(50 << 20, 81920 << 20),
    sm_hertz=1275e6,
    memory_hertz=1593e6,
    celsius=27,
    busy_ratios=None,
)
"""As a public nvidia-smi capture of an A100 split by MIG shows: one power, no utilization (driver 535.54.03)."""

T4 = Gpu(
    "GPU-00000000-0000-0000-0000-0000000000f4",
    name="Tesla T4",
    bus_id="00000000:00:1E.0",
    pci_model=0x1EB8,
    architecture=6,
    serial="1650000000004",
    board_id=0x1E,
    module_id=1,
    mig=None,
    watts=33.51,
    power_watts=33.51,
    instant_watts=33.51,
    limit_watts=70.0,
    highest_limit_watts=70.0,
    memory_bytes=(0, 15360 << 20),
    sm_hertz=1590e6,
    memory_hertz=5000e6,
    celsius=33,
)
"""As a public nvidia-smi capture of a T4 shows: no average power, no MIG (driver 595.91.07)."""


def _gb200(number: int, bus_id: str, watts: float, memory_watts: float, module_watts: tuple[float, float]) -> Gpu:
    return Gpu(
        f"GPU-00000000-0000-0000-0000-0000000b200{number}",
        name="NVIDIA GB200",
        bus_id=bus_id,
        pci_model=0x2941,
        architecture=10,
        serial="1650000000005",
        board_id=int(bus_id[9:11], 16) << 8,
        module_id=2 - number,
        watts=watts,
        power_watts=watts,
        instant_watts=watts,
        average_watts=watts,
        memory_average_watts=memory_watts,
        module_instant_watts=module_watts[0],
        module_average_watts=module_watts[1],
        limit_watts=1200.0,
        highest_limit_watts=1200.0,
        module_limit_watts=2500.0,
        memory_bytes=(0, 189471 << 20),
        sm_hertz=120e6,
        memory_hertz=3996e6,
        celsius=27,
    )


GB200 = (
    _gb200(0, "00000000:29:00.0", 165.93, 30.26, (467.68, 467.17)),
    _gb200(1, "00000000:3F:00.0", 168.57, 29.16, (461.20, 460.15)),
)
"""As a public nvidia-smi capture of a GB200 shows: both GPUs of a board report its serial and its power
(driver 580.173.02)."""


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
    clocks = {"nvmlDeviceGetClockInfo:1": gpu.sm_hertz, "nvmlDeviceGetClockInfo:2": gpu.memory_hertz}
    yield from (f"{function} {value / 1e6:.0f}" for function, value in clocks.items() if value is not None)
