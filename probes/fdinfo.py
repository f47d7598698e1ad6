"""Reads the GPU time of each process from /proc/PID/fdinfo, as DRM drivers show it.

Interface: the kernel's Documentation/gpu/drm-usage-stats.rst.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.nvml.library import GpuProcesses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NODES = ("/dev/dri/", "/dev/accel/")
_MOST_BYTES = 16384
_NUMBER = re.compile(r"(\d{1,20})(?: (ns|[KMG]iB|Hz|MHz))?")
_NEAR_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class DrmClient:
    """One open DRM file: driver, PCI address, number of the client; and by engine its busy time and cycles.

    `busy_ns` is the time on all engines of a name together, of which there are `capacity` (1 if absent). `cycles` are
    those of the client and of the clock, which some drivers count instead. Copies of the file have the same number.
    """

    driver: str
    pci: str
    client: int
    busy_ns: Mapping[str, int]
    capacity: Mapping[str, int]
    cycles: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Scan:
    """All clients of one device with the processes that hold them, by number.

    `is_complete` is False, and there are none, if the files of a process could not be listed.
    """

    clients: Mapping[int, tuple[DrmClient, frozenset[int]]]
    is_complete: bool


def parse_fdinfo(text: str) -> DrmClient | None:
    """Return the client that a file in fdinfo describes, None if it is not a DRM file with a device and a number."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, found, value = line.partition(":")
        if found and name.startswith("drm-"):
            values.setdefault(name.removeprefix("drm-"), value.strip())
    client = _number(values.get("client-id", ""))
    if not values.get("driver") or not values.get("pdev") or client is None:
        return None
    counts = {name: number for name, value in values.items() if (number := _number(value)) is not None}
    engines = {name.removeprefix("engine-"): ns for name, ns in counts.items() if name.startswith("engine-")}
    capacity = {name.removeprefix("capacity-"): most for name, most in engines.items() if name.startswith("capacity-")}
    totals = {name.removeprefix("total-cycles-"): ns for name, ns in counts.items() if name.startswith("total-cycles-")}
    cycles = {
        engine: (counts[f"cycles-{engine}"], total) for engine, total in totals.items() if f"cycles-{engine}" in counts
    }
    busy = {name: ns for name, ns in engines.items() if not name.startswith("capacity-")}
    return DrmClient(values["driver"], values["pdev"].lower(), client, busy, capacity, cycles)


def scan(procfs: Path, pci: str) -> Scan:
    """Find the clients of one device among all processes; the search ends at a process that cannot be listed."""
    clients: dict[int, tuple[DrmClient, frozenset[int]]] = {}
    for process in _processes(procfs):
        try:
            found = list(_clients(process, pci))
        except PermissionError:
            return Scan({}, is_complete=False)
        except OSError:
            continue  # it ended meanwhile
        for one in found:
            known = clients.get(one.client)
            pids = (known[1] if known else frozenset()) | {int(process.name)}
            clients[one.client] = (one, pids)
    return Scan(clients, is_complete=True)


class ClientShares:
    """The users of one device, for `gpu_processes` of its probe; `kfd` is the folder of ROCm's processes.

    The queues of ROCm (/dev/kfd) are not in fdinfo, so shares are unknown while a process uses them.
    """

    def __init__(self, procfs: Path, pci: str, kfd: Path | None = None) -> None:
        self._procfs, self._pci, self._kfd = procfs, pci, kfd
        self._last: tuple[int, Scan] | None = None

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        """Return the processes on the device now, and their shares of its time since a moment in Unix microseconds.

        Both are None if a process could not be listed. Shares compare two scans, so they are None unless the previous
        call was at about that moment.
        """
        found, now_us = scan(self._procfs, self._pci), time.time_ns() // 1000
        last, self._last = self._last, (now_us, found)
        if not found.is_complete:
            return GpuProcesses(None, None)
        programs = frozenset[int]().union(*(pids for _, pids in found.clients.values()))
        elapsed_us = now_us - since_us
        is_usable = last is not None and last[1].is_complete and abs(last[0] - since_us) <= _NEAR_SHARE * elapsed_us
        if not is_usable or last is None or self._has_queues(programs):
            return GpuProcesses(programs, None)
        return GpuProcesses(programs, shares_between(last[1], found, (now_us - last[0]) * 1000))

    def _has_queues(self, programs: frozenset[int]) -> bool:
        return self._kfd is not None and any((self._kfd / str(pid)).exists() for pid in programs)


def shares_between(before: Scan, after: Scan, elapsed_ns: int) -> dict[int, float]:
    """Return the busy share of each process between two scans: of its busiest engine, 0 to 1; idle ones are left out.

    A client that several processes share counts for the lowest number alone. A value that falls counts nothing.
    """
    shares: dict[int, float] = {}
    for number, (client, pids) in after.clients.items():
        known = before.clients.get(number)
        share = max(_engine_shares(known[0] if known else None, client, elapsed_ns), default=0.0)
        if share > 0:
            shares[min(pids)] = min(1.0, shares.get(min(pids), 0.0) + share)
    return shares


def _engine_shares(before: DrmClient | None, after: DrmClient, elapsed_ns: int) -> Iterator[float]:
    for engine, busy in after.busy_ns.items():
        grown = busy - (before.busy_ns.get(engine, 0) if before else 0)
        yield max(0, grown) / max(1, elapsed_ns * max(1, after.capacity.get(engine, 1)))
    for engine, (cycles, total) in after.cycles.items():
        old, old_total = before.cycles.get(engine, (0, 0)) if before else (0, 0)
        if before and total > old_total:
            yield max(0, cycles - old) / (total - old_total) / max(1, after.capacity.get(engine, 1))


def _processes(procfs: Path) -> list[Path]:
    try:
        return [folder for folder in procfs.iterdir() if folder.name.isdecimal()]
    except OSError:
        return []


def _clients(process: Path, pci: str) -> Iterator[DrmClient]:
    for link in (process / "fd").iterdir():
        with suppress(FileNotFoundError):
            if not str(link.readlink()).startswith(_NODES):
                continue
            with (process / "fdinfo" / link.name).open("rb", buffering=0) as file:
                client = parse_fdinfo((file.read(_MOST_BYTES) or b"").decode(errors="replace"))
            if client and client.pci == pci:
                yield client


def _number(text: str) -> int | None:
    """Return the integer at the start of a value; its unit is that of the key."""
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match else None
