"""Settings and temperature of a machine, read from trees of /sys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.host.records import HostSettings
from agent.host.settings import read_host_settings
from probes.model import Roots
from trees import write

if TYPE_CHECKING:
    from pathlib import Path


CPUS = len(os.sched_getaffinity(0))


def test_settings_and_temperature_are_in_si_units(tmp_path: Path) -> None:
    files = {
        "devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
        "devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "3000000",
        "devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave",
        "devices/system/cpu/cpu1/cpufreq/scaling_max_freq": "3000000",
        "class/powercap/intel-rapl:0/constraint_0_name": "long_term",
        "class/powercap/intel-rapl:0/constraint_0_power_limit_uw": "125000000",
        "class/powercap/intel-rapl:0/constraint_1_power_limit_uw": "150000000",
        "class/powercap/intel-rapl:1/constraint_0_power_limit_uw": "none",
        "class/hwmon/hwmon0/name": "coretemp",
        "class/hwmon/hwmon0/temp1_input": "45000",
        "class/hwmon/hwmon0/temp2_input": "51500",
        "class/hwmon/hwmon1/name": "nvme",
        "class/hwmon/hwmon1/temp1_input": "70000",
        "class/thermal/thermal_zone0/type": "x86_pkg_temp",
        "class/thermal/thermal_zone0/temp": "52000",
        "class/thermal/thermal_zone1/type": "acpitz",
        "class/thermal/thermal_zone1/temp": "90000",
    }
    for path, value in files.items():
        write(tmp_path / path, value)
    assert read_host_settings(Roots(str(tmp_path))) == HostSettings(
        cpu_governors=("performance", "powersave"),
        cpu_frequency_limits_hertz=(3e9,),
        power_limits_watts={"intel-rapl:0 long_term": 125.0, "intel-rapl:0 constraint_1": 150.0},
        cpu_celsius=52.0,
        usable_cpus=CPUS,
    )


def test_unreported_settings_are_left_out(tmp_path: Path) -> None:
    assert read_host_settings(Roots(str(tmp_path))) == HostSettings((), (), {}, None, usable_cpus=CPUS)


def test_a_hanging_temperature_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "class/hwmon/hwmon0/name", "coretemp")
    write(tmp_path / "class/hwmon/hwmon0/temp1_input", "45000")
    hanging = tmp_path / "class/hwmon/hwmon0/temp2_input"
    os.mkfifo(hanging)
    assert read_host_settings(Roots(str(tmp_path))).cpu_celsius in {None, 45.0}
    os.close(os.open(hanging, os.O_WRONLY))
