"""The processor: utilization, frequency, model."""

from probes.cpu.probe import discover
from probes.family import Family
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "cpu",
    "Processors",
    (Kind.CPU,),
    reads="utilization, clocks, cores, temperature and throttled time of every processor",
    method="`/proc/stat`, cpufreq, thermal_throttle or cooling devices",
    refresh="0.01 s; throttled time 1 s",
    tested_on=("captures of /proc",),
)
