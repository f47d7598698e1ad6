"""NVIDIA GPUs."""

from probes.family import Family
from probes.model import Kind
from probes.nvml.discovery import discover

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "nvml",
    "NVIDIA GPUs",
    (Kind.GPU,),
    reads="energy, power, utilization, memory, clocks, temperature, power limit, reasons of reduced clocks",
    method="energy counter and power of the driver (NVML)",
    refresh="20 to 100 ms",
    privilege="access to /dev/nvidia*",
    remedy="let this user open /dev/nvidiactl and /dev/nvidia*",
    tested_on=("captures of eight GPUs through a driver library of the tests",),
)
