"""The processor: utilization, frequency, model."""

from probes.cpu.probe import discover
from probes.family import Family
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
    remedy="sudo chmod 444 /sys/devices/system/cpu/intel_uncore_frequency/*/current_freq_khz",
    tested_on=("captures of /proc", "real hardware (a virtual machine)", "synthetic trees"),
)
