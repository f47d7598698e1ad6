"""Finds Intel's NPUs, their attributes, and their energy and temperature in the telemetry of the processor.

Interface: the kernel's ABI document and source of ivpu (drivers/accel/ivpu/ivpu_sysfs.c).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probes.driver_devices import DriverDevice, devices_of_class
from probes.errors import ProbeUnavailableError
from probes.integer_attributes import BusyShare, Gauge, find_attributes, merged
from probes.intel_npu.telemetry import find_telemetry
from probes.model import Channel, DiscoveryResult, Kind, Roots
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.integer_attributes import Attribute

DRIVERS = frozenset({"intel_vpu"})
WINDOW_SECONDS = 1.0
"""The kernel's ABI document recommends at least one second between two reads of the busy time."""


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the NPUs of the driver intel_vpu, and test each sensor with one read."""
    sysfs = Path(roots.sysfs)
    npus = devices_of_class(sysfs, "accel", DRIVERS)
    if not npus:
        raise ProbeUnavailableError(f"no NPU of the driver intel_vpu below {sysfs}/class/accel")
    found = [find_attributes("intel_npu", npu, _attributes(sysfs, npu), settings) for npu in npus]
    return merged([*found, find_telemetry(sysfs, npus[0], settings)])


def _attributes(sysfs: Path, npu: DriverDevice) -> Iterator[Attribute]:
    """Yield the busy share, the clock (0 while the NPU is off) and the memory in use, which is in bytes."""
    device, within = npu.as_device(Kind.NPU), (npu.package(sysfs),)
    busy = Channel(
        device, "npu", "utilization_ratio", method="busy time", refresh_seconds=WINDOW_SECONDS, contained_in=within
    )
    yield BusyShare(busy, npu.pci.folder / "npu_busy_time_us", 1_000_000, WINDOW_SECONDS)
    clock = Channel(device, "npu", "frequency_hertz", method="driver", resolution=1e6, contained_in=within)
    yield Gauge(clock, npu.pci.folder / "npu_current_frequency_mhz", times=1_000_000)
    memory = Channel(device, "npu", "memory_used_bytes", method="driver", contained_in=within)
    yield Gauge(memory, npu.pci.folder / "npu_memory_utilization")
