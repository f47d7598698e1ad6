"""The processor: utilization, frequency, model."""

from probes.cpu.probe import discover
from probes.family import Family
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "cpu",
    "Processors",
    (Kind.CPU,),
    reads="utilization, clocks, cores and temperature of every processor",
    method="`/proc/stat`, cpufreq",
    refresh="0.01 s",
    tested_on=("captures of /proc",),
)
