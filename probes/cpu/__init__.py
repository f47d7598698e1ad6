"""The processor: utilization, frequency, model."""

from probes.cpu.probe import discover
from probes.cpu.uncore import FILES as UNCORE_FILES
from probes.cpu.uncore import FOLDER as UNCORE_FOLDER
from probes.family import Family, ServiceNeeds
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "cpu",
    "Processors",
    (Kind.CPU,),
    reads="utilization, clocks of cores and uncore, cores, throttled time and time in idle states",
    method="`/proc/stat`, cpufreq, cpuidle, intel_uncore_frequency, thermal_throttle or cooling devices",
    refresh="0.01 s; throttled time 1 s",
    privilege="the clock of the uncore: root",
    remedy="`inferometer service install --enable cpu` opens its files to the service",
    service=ServiceNeeds(
        tmpfiles=tuple(f"z /sys/{UNCORE_FOLDER}/*/{file} 0440 root inferometer -" for file in UNCORE_FILES),
        risk="the clock of the uncore reveals something about the computations of other users",
    ),
    tested_on=("captures of /proc", "real hardware (a virtual machine)", "synthetic trees"),
)
