"""Reads the settings and the temperature of the machine, once at the start of a run and once at its end."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.host.records import HostSettings
from agent.runtime.cgroup import read_limits
from probes.deadline import NoAnswerError, within
from probes.sysfs import ANSWER_SECONDS, read_int, read_label, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.model import Roots

_CHIPS = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal"})
"""The hwmon chips of processors (Documentation/hwmon)."""
_ZONES = frozenset({"x86_pkg_temp", "cpu-thermal", "cpu_thermal"})


def read_host_settings(roots: Roots) -> HostSettings:
    """Read governors, clock limits, power limits and the temperature of the processors; changes nothing."""
    sysfs = Path(roots.sysfs)
    policies = sorted((sysfs / "devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
    governors = {text for policy in policies if (text := read_label(policy / "scaling_governor"))}
    kilohertz = {limit for policy in policies if (limit := read_int(policy / "scaling_max_freq")) is not None}
    limits = read_limits(roots)
    return HostSettings(
        cpu_governors=tuple(sorted(governors)),
        cpu_frequency_limits_hertz=tuple(limit * 1e3 for limit in sorted(kilohertz)),
        power_limits_watts=PowerLimits(sysfs).read(),
        cpu_celsius=max(_temperatures(sysfs), default=None),
        cpu_quota_cpus=limits.quota_cpus,
        usable_cpus=limits.usable_cpus,
        memory_limit_bytes=limits.memory_bytes,
    )


class PowerLimits:
    """RAPL's limits (Documentation/power/powercap), long and short term of each zone, whose files are found once."""

    def __init__(self, sysfs: Path) -> None:
        self._files = dict(_limit_files(sysfs))

    def read(self) -> dict[str, float]:
        """Return the limits in watts now, by zone and constraint."""
        found = ((name, read_int(path)) for name, path in self._files.items())
        return {name: microwatts / 1e6 for name, microwatts in found if microwatts is not None}


def _limit_files(sysfs: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((sysfs / "class/powercap").glob("*:*/constraint_*_power_limit_uw")):
        constraint = path.name.removesuffix("_power_limit_uw")
        name = read_label(path.with_name(f"{constraint}_name")) or constraint
        yield f"{path.parent.name} {name}", path


def _temperatures(sysfs: Path) -> Iterator[float]:
    """Yield the temperatures of the processors' own sensors, in degrees Celsius."""
    chips = (chip for chip in (sysfs / "class/hwmon").glob("hwmon*") if read_text(chip / "name") in _CHIPS)
    zones = (zone for zone in (sysfs / "class/thermal").glob("thermal_zone*") if read_text(zone / "type") in _ZONES)
    paths = [path for chip in chips for path in chip.glob("temp*_input")] + [zone / "temp" for zone in zones]
    for path in paths:
        try:
            millidegrees = within(ANSWER_SECONDS, partial(read_int, path), f"read-{path}")
        except NoAnswerError:
            return  # the driver hangs, and so would its other files
        if millidegrees is not None:
            yield millidegrees / 1e3
