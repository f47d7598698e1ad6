"""Reads the clock of the uncore of Intel processors: mesh, last-level cache and memory controllers.

Interface: the kernel's Documentation/admin-guide/pm/intel_uncore_frequency_scaling.rst. The kernel reserves the files
for root.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from probes.errors import ReadError
from probes.hwmon.probe import HwmonProbe, Sensor
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem
from probes.remedies import cause_of, is_denied, remedy_for
from probes.sysfs import open_value_file, read_int

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from probes.settings import SensorSettings

NAME = "cpu/uncore"
MOST_CLOCKS = 32
"""The number of clocks that are read."""
FOLDER = "devices/system/cpu/intel_uncore_frequency"
"""The folder of the clocks below /sys."""
_FILE, *_IDS = FILES = ("current_freq_khz", "package_id", "domain_id", "fabric_cluster_id")
"""The files that the kernel reserves for root: the clock, and the place of a cluster."""
_DIE = re.compile(r"package_(\d{1,4})_die_(\d{1,4})")
_CLUSTER = re.compile(r"uncore\d{1,4}")


def discover_uncore(sysfs: Path, settings: SensorSettings) -> DiscoveryResult:
    """Find the clocks and read each once; the result is empty if the kernel shows none."""
    kept, excluded = settings.select(NAME, list(_drafts(sysfs / FOLDER))[:MOST_CLOCKS], lambda draft: draft[0])
    sensors = []
    failed: list[tuple[Path, Exception]] = []
    for channel, path in kept:
        try:
            sensors.append(Sensor(channel, (open_value_file(path),), 1e-3))
        except (OSError, ReadError) as error:
            failed.append((path, error))
    probes = (HwmonProbe(NAME, sensors, None),) if sensors else ()
    return DiscoveryResult(probes, tuple(_problems(failed)), excluded)


def _drafts(folder: Path) -> Iterator[tuple[Channel, Path]]:
    """Yield the clock of every cluster, or of every die if the kernel shows no clusters."""
    clusters = [path for path in sorted(folder.glob("uncore*")) if _CLUSTER.fullmatch(path.name)]
    for path in clusters:
        package, domain, cluster = (read_int(path / name) for name in _IDS)
        yield _channel(package or 0, f"uncore-{domain or 0}-{cluster or 0}"), path / _FILE
    if clusters:
        return
    matches = [match for path in sorted(folder.glob("package_*")) if (match := _DIE.fullmatch(path.name))]
    has_dies = any(int(match[2]) for match in matches)
    for match in matches:
        domain_of_die = f"uncore-die-{int(match[2])}" if has_dies else "uncore"
        yield _channel(int(match[1]), domain_of_die), folder / match[0] / _FILE


def _channel(package: int, domain: str) -> Channel:
    device = Device(f"package-{package}", Kind.CPU)
    return Channel(device, domain, "frequency_hertz", method="instant", resolution=1000.0)


def _problems(failed: list[tuple[Path, Exception]]) -> Iterator[Problem]:
    """Yield one problem for all clocks that only root may read, and one for each other clock."""
    denied = [path for path, error in failed if is_denied(error)]
    if denied:
        files = denied[0].parents[1] / f"*/{_FILE}"
        remedy = (
            "run as root, or let a group read them: `inferometer service install --enable cpu` does so for the "
            f"service; by hand: sudo chgrp inferometer {files} && sudo chmod 440 {files}"
        )
        yield Problem(f"uncore clocks ({files})", "only root may read them", remedy, is_unreadable=False)
    for path, error in failed:
        if path not in denied:
            yield Problem(f"uncore clock ({path})", cause_of(error, path), remedy_for(error))
