"""The NPU of Rockchip processors: load and clock. No source of its power exists.

Interface: the driver rknpu of Rockchip's kernel: /sys/kernel/debug/rknpu/load, and /sys/class/devfreq/*.npu.
"""

from __future__ import annotations

import re
from pathlib import Path

from probes.attributes import Attribute, AttributeProbe, open_attributes, parse_number
from probes.errors import ProbeUnavailableError
from probes.family import Family, ServiceNeeds
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_label

FAMILY = Family(
    "rockchip",
    "Rockchip NPUs",
    (Kind.NPU,),
    reads="utilization and clock; no power exists",
    method="files of the driver rknpu",
    refresh="1 s",
    privilege="root, for the load in debugfs",
    remedy="run as root: only root can read debugfs",
    tested_on=("captures of an RK3588 and an RV1126B in a synthetic tree",),
    service=ServiceNeeds(
        capabilities=("CAP_DAC_READ_SEARCH",),
        risk="with CAP_DAC_READ_SEARCH, which debugfs needs, the service may read every file of the host",
    ),
)
_LOAD = re.compile(rb"NPU load:\s*(?:(?:Core\d:\s*)?\d{1,3}%,?\s*)+")
_PERCENT = re.compile(rb"(\d{1,3})%")
_MOST_PERCENT = 100


def parse_cores(raw: bytes) -> tuple[float, ...]:
    """Return the load of each core, 0 to 1, of "NPU load:  Core0: 45%, Core1: 32%,"; () for another text."""
    if not _LOAD.fullmatch(raw.strip()):
        return ()
    percents = [int(percent) for percent in _PERCENT.findall(raw)]
    return tuple(percent / 100 for percent in percents) if max(percents) <= _MOST_PERCENT else ()


def parse_load(raw: bytes) -> float | None:
    """Return the mean load of the cores, 0 to 1, None without one."""
    cores = parse_cores(raw)
    return sum(cores) / len(cores) if cores else None


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the NPU and test each file with one read. Raises ProbeUnavailableError if there is none."""
    sysfs = Path(roots.sysfs)
    clocks = sorted((sysfs / "class/devfreq").glob("*.npu"))
    if not clocks:
        raise ProbeUnavailableError(f"no clock of an NPU is below {sysfs}/class/devfreq")
    name = f"rockchip/{clocks[0].name}"
    version = read_label(sysfs / "kernel/debug/rknpu/version")
    device = Device(clocks[0].name, Kind.NPU, "Rockchip NPU", (("driver", version or "rknpu"),))
    if entries := settings.exclusions(name, device.id):
        return DiscoveryResult(excluded=entries)
    load = Attribute(
        "kernel/debug/rknpu/load",
        Channel(device, "npu", "utilization_ratio", method="average", resolution=0.01),
        parse_load,
    )
    clock = Attribute(
        f"class/devfreq/{clocks[0].name}/cur_freq", Channel(device, "npu", "frequency_hertz"), parse_number
    )
    problems: list[Problem] = []
    wanted, excluded = settings.select(name, [load, clock], lambda each: each.channel)
    opened = open_attributes(sysfs, wanted, problems, prove=True)
    if load in wanted and load not in [each.attribute for each in opened]:
        reason = f"{sysfs / load.name} cannot be read, so its load is unknown"
        problems = [Problem(name, reason, FAMILY.remedy)]
    probes = (AttributeProbe(name, opened, None),) if opened else ()
    return DiscoveryResult(probes, tuple(problems), excluded)
