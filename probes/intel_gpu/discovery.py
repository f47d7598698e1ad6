"""Finds Intel's GPUs, their attributes in sysfs, and for cards without energy in hwmon their sensors of Level Zero.

Interfaces: the kernel's ABI documents of xe (`gtidle`, `freq0`) and i915 (`gt/gt0`), and Level Zero's Sysman.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from probes.driver_devices import DriverDevice, devices_of_class
from probes.errors import ProbeUnavailableError
from probes.integer_attributes import BusyShare, Gauge, find_attributes, merged
from probes.intel_gpu.engines import find_engines
from probes.intel_gpu.probe import probe_of
from probes.model import Channel, DiscoveryResult, Kind, Roots
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_int

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from probes.integer_attributes import Attribute

DRIVERS = frozenset({"xe", "i915"})
WINDOW_SECONDS = 0.1
"""The drivers count idle time in milliseconds, so that a window of this length resolves one percent."""


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the GPUs of the drivers xe and i915, and test each sensor with one read."""
    sysfs = Path(roots.sysfs)
    gpus = devices_of_class(sysfs, "drm", DRIVERS)
    if not gpus:
        raise ProbeUnavailableError(f"no GPU of the drivers xe and i915 below {sysfs}/class/drm")
    found = [
        find_attributes("intel_gpu", gpu, attributes_of(sysfs, gpu), settings, probe_of(roots, gpu.pci.address))
        for gpu in gpus
    ]
    found += [find_engines(sysfs, gpu, settings) for gpu in gpus if gpu.pci.driver == "xe"]
    cards = [gpu for gpu in gpus if not (_is_integrated(gpu) or gpu.has_hwmon("energy"))]
    result = merged([*found, _find_sysman(roots, settings, cards)])
    if not (result.probes or result.problems or result.excluded):
        drivers = " and ".join(sorted({gpu.pci.driver for gpu in gpus}))
        raise ProbeUnavailableError(f"the driver {drivers} of this kernel shows neither idle residency nor clocks")
    return result


def _find_sysman(roots: Roots, settings: SensorSettings, cards: Sequence[DriverDevice]) -> DiscoveryResult:
    if not cards:
        return DiscoveryResult()
    from probes.intel_gpu.sysman_probe import find_sysman  # noqa: PLC0415 - only hosts with such a card need it

    return find_sysman(roots, settings, cards)


def attributes_of(sysfs: Path, gpu: DriverDevice) -> Iterator[Attribute]:
    """Yield the busy share and the clock of each graphics part (GT) of a GPU."""
    within = (gpu.package(sysfs),) if _is_integrated(gpu) else ()
    for domain, idle, clock in _parts(gpu):
        busy = Channel(
            gpu.as_device(Kind.GPU),
            domain,
            "utilization_ratio",
            method="idle residency",
            refresh_seconds=WINDOW_SECONDS,
            resolution=0.001 / WINDOW_SECONDS,
            contained_in=within,
        )
        if gpu.pci.is_suspended or read_int(idle.with_name("rc6_enable")) != 0:
            yield BusyShare(busy, idle, 1000, WINDOW_SECONDS, counts_idle=True)
        hertz = replace(busy, metric="frequency_hertz", method="driver", refresh_seconds=0.0, resolution=1e6)
        yield Gauge(hertz, clock, times=1_000_000)


def _parts(gpu: DriverDevice) -> Iterator[tuple[str, Path, Path]]:
    """Yield the name of each part, the file of its idle time in milliseconds, and that of its clock in megahertz.

    The time that is not idle is the highest value that the load can have. The clock is 0 while the part is powered
    down.
    """
    for gt in sorted(gpu.pci.folder.glob("tile[0-9]*/gt[0-9]*")):
        yield gt.name, gt / "gtidle/idle_residency_ms", gt / "freq0/act_freq"
    for card in gpu.entries:
        parts = sorted(card.glob("gt/gt[0-9]*"))
        for gt in parts:
            yield gt.name, gt / "rc6_residency_ms", gt / "rps_act_freq_mhz"
        if not parts:  # i915 before Linux 5.18
            yield "gt0", card / "power/rc6_residency_ms", card / "gt_act_freq_mhz"


def _is_integrated(gpu: DriverDevice) -> bool:
    """Return whether this is the graphics of a processor, whose energy is in that of the package."""
    return gpu.pci.address.startswith("0000:00:")
