"""NVIDIA GPUs."""

from probes.family import Family
from probes.model import Kind
from probes.nvml.discovery import discover

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "nvml",
    "NVIDIA GPUs",
    (Kind.GPU,),
    reads="energy, power, utilization of the GPU and of its units, memory, clocks, temperature, power limit, "
    "throttled time and its reasons, bytes over NVLink",
    method="energy counter, power and performance counters of the driver (NVML)",
    refresh="20 to 100 ms; units, throttled time and bytes 0.5 s",
    privilege="access to /dev/nvidia*",
    remedy="let this user open /dev/nvidiactl and /dev/nvidia*",
    tested_on=("a real H200", "captures of nine GPUs through a driver library of the tests"),
)
