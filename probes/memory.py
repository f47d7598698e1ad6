"""Reads the memory in use from /proc/meminfo (kernel: Documentation/filesystems/proc.rst)."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import ProbeUnavailableError, ReadError
from probes.family import Family
from probes.model import Channel, Device, DiscoveryResult, Kind, Rejection, Roots
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILY = Family(
    "memory",
    "Memory",
    (Kind.MEMORY,),
    reads="memory in use and installed",
    method="`/proc/meminfo`",
    refresh="at each read",
    tested_on=("captures of /proc",),
)
_MEMINFO_BYTES = 256  # MemTotal and MemAvailable are in the first three lines
_RESOLUTION_BYTES = 1024.0
_DEVICE = Device("memory", Kind.MEMORY)
_DOMAIN = "memory"


def parse_meminfo(meminfo: str) -> dict[str, int]:
    """Return the amounts in kB of /proc/meminfo, in bytes, by the kernel's names."""
    amounts = {}
    for line in meminfo.splitlines():
        name, _, amount = line.partition(":")
        match amount.split():
            case [number, "kB"]:
                amounts[name] = int(number) * 1024
    return amounts


def used_bytes(amounts: Mapping[str, int]) -> float:
    """Return the memory that is not available without swapping: MemTotal - MemAvailable; NaN if one is missing."""
    total, available = amounts.get("MemTotal"), amounts.get("MemAvailable")
    return math.nan if total is None or available is None else float(max(total - available, 0))


class MemoryProbe:
    """Memory in use and memory installed, of the whole host; the file stays open."""

    name = "memory"
    files_only = True
    channels: tuple[Channel, ...] = (
        Channel(_DEVICE, _DOMAIN, "memory_used_bytes", method="meminfo", resolution=_RESOLUTION_BYTES),
        Channel(_DEVICE, _DOMAIN, "memory_total_bytes", method="meminfo", resolution=_RESOLUTION_BYTES),
    )

    def __init__(self, path: Path) -> None:
        self.rejections: list[Rejection] = []
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, at_ns: int) -> list[float]:  # noqa: ARG002 - what is in use needs no time base
        """Return bytes used and bytes installed. Raises ReadError."""
        try:
            amounts = parse_meminfo(os.pread(self._fd, _MEMINFO_BYTES, 0).decode())
        except (OSError, ValueError) as error:
            raise ReadError(f"{self._path}: {error}") from error
        if "MemTotal" not in amounts:
            raise ReadError(f"{self._path}: no MemTotal")
        return [used_bytes(amounts), float(amounts["MemTotal"])]

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the host's memory and test it with one read. Raises ProbeUnavailableError if it cannot be read."""
    if entries := settings.exclusions(MemoryProbe.name, _DEVICE.id, _DOMAIN):
        return DiscoveryResult(excluded=entries)
    remedy = "mount proc, or set its path"
    try:
        probe = MemoryProbe(Path(roots.procfs) / "meminfo")
    except OSError as error:
        raise ProbeUnavailableError(f"cannot read the memory in use: {error}", remedy) from error
    try:
        probe.read(0)
    except ReadError as error:
        probe.close()
        raise ProbeUnavailableError(f"cannot read the memory in use: {error}", remedy) from error
    return DiscoveryResult((probe,))
