"""The caches and the NUMA nodes of this host, from sysfs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.runtime.cpu_list import parse_cpu_list
from agent.workloads.errors import WorkloadError
from probes.model import Roots
from probes.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_CPUS = Path(Roots().sysfs) / "devices/system/cpu"
_NODES = Path(Roots().sysfs) / "devices/system/node"
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def last_level_bytes(cpus: Iterable[int], folder: Path = _CPUS) -> int | None:
    """Return the size of the last-level caches of these CPUs, each cache once; None if the kernel lists none."""
    caches: dict[str, int] = {}
    for cpu in cpus:
        levels = [_cache(index) for index in folder.glob(f"cpu{cpu}/cache/index*")]
        known = [level for level in levels if level]
        if known:
            _, shared, size = max(known)
            caches[shared] = size
    return sum(caches.values()) or None


def cpus_of_nodes(nodes: Iterable[int], folder: Path = _NODES) -> dict[int, tuple[int, ...]]:
    """Return the CPUs of each NUMA node. Raises WorkloadError for a node that this host lacks, or one without CPUs."""
    found: dict[int, tuple[int, ...]] = {}
    for node in nodes:
        text = read_text(folder / f"node{node}/cpulist")
        if text is None:
            offered = ", ".join(sorted(path.name.removeprefix("node") for path in folder.glob("node[0-9]*")))
            raise WorkloadError(
                f"--numa-nodes: this host has no NUMA node {node}", f"choose from {offered}" if offered else ""
            )
        found[node] = parse_cpu_list(text)
        if not found[node]:
            raise WorkloadError(f"--numa-nodes: the NUMA node {node} has no CPUs", "choose a node with CPUs")
    return found


def _cache(index: Path) -> tuple[int, str, int] | None:
    """Return the level of a cache, the CPUs that share it, and its size in bytes; None for one of instructions."""
    level, kind, size, shared = (read_text(index / name) for name in ("level", "type", "size", "shared_cpu_list"))
    if kind is None or kind.strip() == "Instruction" or not (level and size and shared):
        return None
    digits, unit = size.strip()[:-1], size.strip()[-1]
    if unit not in _UNITS or not digits.isdigit() or not level.strip().isdigit():
        return None
    return int(level), shared.strip(), int(digits) * _UNITS[unit]
