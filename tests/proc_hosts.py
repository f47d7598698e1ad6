"""A fake host with two packages of one processor each, of which every tick of work is followed by an idle one."""

from __future__ import annotations

import os

from probes.conformance import FakeSensor, NotOfferedError, TreeHost
from probes.model import Roots
from trees import write

KHZ = 2_400_000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STAT = "cpu  {} 0 0 {0} 0 0 0 0 0 0\ncpu0 {0} 0 0 {0} 0 0 0 0 0 0\ncpu1 {0} 0 0 {0} 0 0 0 0 0 0\nintr 5\n"
THROTTLED_MS = {"core": 250, "package": 400}
"""The milliseconds of each second for which heat throttles a core, and its package."""
SHARE = 0.5
"""The share of the time in which each processor works."""


class ProcessorHost(TreeHost):
    blanks = ()  # the kernel leaves out what it does not have

    def __init__(self, folder, *, clocks=True, throttled=False):
        sysfs, procfs = folder / "sys", folder / "proc"
        stat = write(procfs / "stat", self._form().format(1000).strip())
        write(procfs / "cpuinfo", "vendor_id\t: GenuineIntel")
        sensors = [FakeSensor(stat, None, per_second=round(TICKS_PER_SECOND * SHARE), form=self._form())]
        for number in range(2):
            cpu = sysfs / f"devices/system/cpu/cpu{number}"
            write(cpu / "topology/physical_package_id", number)
            if clocks:
                file = write(cpu / "cpufreq/scaling_cur_freq", KHZ + number)
                sensors.append(FakeSensor(file, (f"package-{number}/package", "frequency_hertz"), 1e-3))
                sensors += self._idle_and_uncore(sysfs, number)
            for part, per_second in (THROTTLED_MS if throttled else {}).items():
                file = write(cpu / f"thermal_throttle/{part}_throttle_total_time_ms", 5000)
                key = (f"package-{number}/{part}", "throttled_seconds")
                sensors.append(FakeSensor(file, key, 1e3, per_second))
        presence = tuple(sensor.path for sensor in sensors if sensor.path.name != "scaling_cur_freq")
        super().__init__(folder, Roots(sysfs=str(sysfs), procfs=str(procfs)), sensors, presence=presence)

    @staticmethod
    def _idle_and_uncore(sysfs, number):
        state = sysfs / f"devices/system/cpu/cpu{number}/cpuidle/state0"
        write(state / "name", "C6")
        slept = write(state / "time", 5_000_000)
        folder = sysfs / f"devices/system/cpu/intel_uncore_frequency/package_0{number}_die_00"
        clock = write(folder / "current_freq_khz", KHZ)
        return (
            FakeSensor(slept, (f"package-{number}/core-c6", "idle_seconds"), 1e6, round(1e6 * SHARE)),
            FakeSensor(clock, (f"package-{number}/uncore", "frequency_hertz"), 1e-3),
        )

    def hang(self):
        raise NotOfferedError("hang: the kernel answers from its own memory")

    @staticmethod
    def _form():
        return STAT.replace("{}", "{0}")
