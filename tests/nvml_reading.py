"""Discovers the GPUs of the fake driver and names their readings, for the tests of the NVML probe."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import fake_nvml
from probes import nvml
from probes.model import DiscoveryResult, Probe, Reason, Roots
from probes.settings import SensorSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fake_nvml import Gpu


class GpuDiscovery:
    """Called with GPUs, makes them the fake driver's and discovers them; closes the probes at the end."""

    def __init__(self, library: Path, sysfs: Path) -> None:
        self.library = library
        self._sysfs = sysfs
        self._probes: list[Probe] = []

    def __call__(self, *gpus: Gpu, exclude: tuple[str, ...] = ()) -> DiscoveryResult:
        fake_nvml.write_state(self.library, gpus)
        roots = Roots(sysfs=str(self._sysfs), nvml_library=str(self.library))
        found = nvml.discover(roots, SensorSettings(exclude=exclude))
        self._probes.extend(found.probes)
        return found

    def change(self, *gpus: Gpu) -> None:
        """Set the GPUs of the driver from now on."""
        fake_nvml.write_state(self.library, gpus)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for probe in self._probes:
            probe.close()


def only(found: DiscoveryResult) -> Probe:
    assert not found.problems
    (probe,) = found.probes
    return probe


def seldom(found: DiscoveryResult) -> Probe:
    """The probe of the sensors of the only GPU that are read seldom."""
    assert not found.problems
    (probe,) = (each for each in found.probes if each.name.endswith("/activity"))
    return probe


def values(probe: Probe) -> Mapping[tuple[str, str], float]:
    read = probe.read(time.monotonic_ns())
    return {(c.domain, c.metric): value for c, value in zip(probe.channels, read, strict=True)}


def methods(probe: Probe, metric: str = "power_watts") -> Mapping[str, str]:
    return {channel.domain: channel.method for channel in probe.channels if channel.metric == metric}


def refused(probe: Probe) -> Mapping[tuple[str, str], Reason]:
    reasons = {
        (probe.channels[rejection.channel].domain, probe.channels[rejection.channel].metric): rejection.reason
        for rejection in probe.rejections
    }
    probe.rejections.clear()
    return reasons
