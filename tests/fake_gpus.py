"""The GPUs of the fake NVIDIA driver: their answers, and those of real GPUs as public captures show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Instance:
    """A part of a fake GPU: the number of its GPU instance, its slices, and its memory in use and in all, in bytes.

    `activity` has its busy share in percent, None without performance counters.
    """

    uuid: str
    number: int
    slices: int | None = 1
    memory_bytes: tuple[int, int] | None = (0, 5 << 30)
    activity: float | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """The answers of a fake GPU, in SI units; None is "not supported".

    The energy counter starts at `energy_joules` and grows by `watts` in steps of `refresh_ms` for as long as the
    process lives; another value of `energy_joules` starts it again. `power_watts` is the answer of
    nvmlDeviceGetPowerUsage; the other powers and the two last limits are fields of their scope.
    `activity` are the metrics of its performance counters in percent, None without such counters; two samples of them
    must be `samples_apart_ms` apart. The bytes over NVLink are (transmitted, received). `programs` are the processes
    that have it open, `busy_ratios` the shares of the time in which each kept it busy.
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
    power_capped_seconds: float | None = None
    thermal_seconds: float | None = None
    nvlink_bytes: tuple[int, int] | None = None
    activity: Mapping[int, float] | None = None
    samples_apart_ms: int = 100
    instances: tuple[Instance, ...] = ()
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

H200 = Gpu(
    "GPU-00000000-0000-0000-0000-000000000200",
    name="NVIDIA H200",
    bus_id="00000000:00:06.0",
    pci_model=0x2335,
    serial="1650000000006",
    board_id=0x6,
    watts=79.39,
    power_watts=80.21,
    instant_watts=79.39,
    average_watts=80.21,
    memory_average_watts=47.18,
    limit_watts=700.0,
    highest_limit_watts=700.0,
    memory_bytes=(0, 143771 << 20),
    memory_hertz=3201e6,
    celsius=38,
    power_capped_seconds=0.0,
    thermal_seconds=0.0,
)
"""As nvidia-smi of an H200 in a virtual machine showed to this project (driver 580.159.04)."""

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
