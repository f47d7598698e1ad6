"""Sensors of the kernel's hwmon class."""

from probes.family import Family
from probes.hwmon.probe import discover
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "hwmon",
    "Chips of the kernel's hwmon class",
    (Kind.GPU, Kind.CPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR, Kind.PSU, Kind.BOARD),
    reads="power, energy and temperature of GPUs, processors, modules, supplies, meters and cards",
    method="energy counter, average or instant power, or volts times amperes",
    refresh="that of the chip, 1 ms to 1 s",
    privilege="some chips: root, or the group of the udev rule",
    remedy="`inferometer service install` puts a udev rule in place",
    tested_on=("captured and synthetic trees",),
)
