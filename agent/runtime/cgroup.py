"""Reads the CPU quota, the CPU set and the memory limit that control groups (version 1 and 2) set for this process.

A limit holds for everything below it, so the tightest one on the way to the root counts. Interface: the kernel's
Documentation/admin-guide/cgroup-v2.rst and cgroup-v1, proc(5) for /proc/self/cgroup and /proc/self/mountinfo.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from probes.sysfs import read_int, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.model import Roots

_UNLIMITED_BYTES = 1 << 60
"""Version 1 writes no limit as the largest multiple of a page below 2**63."""
_CONTROLLERS = ("cpu", "memory")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of this process; None where there is none.

    `quota_cpus` is the CPU time of each second that the kernel grants before it stops the process (0.3: 0.3 s).
    `usable_cpus` is the number of CPUs in its CPU set, `stat_files` are the files that count the time it was stopped.
    """

    quota_cpus: float | None
    usable_cpus: int
    memory_bytes: int | None
    stat_files: tuple[Path, ...] = ()

    @property
    def engine_threads(self) -> int:
        """The number of threads that can run at once within the quota and the CPU set."""
        within_quota = self.usable_cpus if self.quota_cpus is None else math.ceil(self.quota_cpus)
        return max(1, min(self.usable_cpus, within_quota))


def read_limits(roots: Roots) -> Limits:
    """Return the limits of this process; those that cannot be read count as absent."""
    groups = {name: tuple(_groups(roots, name)) for name in _CONTROLLERS}
    quotas = [(folder, quota) for folder in groups["cpu"] if (quota := _quota_cpus(folder)) is not None]
    memory = [limit for folder in groups["memory"] if (limit := _memory_bytes(folder)) is not None]
    return Limits(
        quota_cpus=min((quota for _, quota in quotas), default=None),
        usable_cpus=len(os.sched_getaffinity(0)),
        memory_bytes=min(memory, default=None),
        stat_files=tuple(folder / "cpu.stat" for folder, _ in quotas),
    )


def throttled_seconds(limits: Limits) -> float | None:
    """Return the time for which a quota stopped this process so far; of nested quotas the longest; None without any."""
    known = [seconds for path in limits.stat_files if (seconds := parse_throttled(read_text(path) or "")) is not None]
    return max(known, default=None)


def parse_throttled(stat: str) -> float | None:
    """Return the throttled time in a text of cpu.stat, in seconds; None if it has none."""
    fields = dict(line.split(maxsplit=1) for line in stat.splitlines() if len(line.split()) == 2)  # noqa: PLR2004
    for name, units in (("throttled_usec", 1e6), ("throttled_time", 1e9)):
        if fields.get(name, "").isdecimal():
            return int(fields[name]) / units
    return None


def _groups(roots: Roots, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's group and of all above it that are mounted, the innermost first."""
    own = Path(roots.procfs) / "self"
    paths = _paths(read_text(own / "cgroup") or "")
    for mount_root, mount_point, kind in _mounts(read_text(own / "mountinfo") or "", controller):
        path = paths.get(controller if kind == "cgroup" else "")
        if path is None:
            continue
        top = Path(roots.sysfs) / mount_point.relative_to("/sys") if mount_point.is_relative_to("/sys") else mount_point
        # With a namespace of its own a container sees its group as the root; without, the mount shows only that group.
        inside = path.relative_to(mount_root) if path.is_relative_to(mount_root) else path.relative_to("/")
        folder = Path(top, inside) if ".." not in inside.parts else Path(top)
        yield from (each for each in (folder, *folder.parents) if each.is_relative_to(top) and each.is_dir())
        return


def _paths(cgroup: str) -> dict[str, PurePosixPath]:
    """Return the group of each controller of version 1, and of version 2 under the empty name."""
    found: dict[str, PurePosixPath] = {}
    for line in cgroup.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            if path.startswith("/"):
                found[controller] = PurePosixPath(path)
    return found


def _mounts(mountinfo: str, controller: str) -> Iterator[tuple[PurePosixPath, PurePosixPath, str]]:
    """Yield root, mount point and type of the hierarchies with a controller, version 1 first where both are mounted."""
    second: list[tuple[PurePosixPath, PurePosixPath, str]] = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or len(kinds) < 3:  # noqa: PLR2004  up to the mount point; type, source and options
            continue
        root, point = (PurePosixPath(_unescaped(field)) for field in fields[3:5])
        if kinds[0] == "cgroup" and controller in kinds[2].split(","):
            yield root, point, "cgroup"
        elif kinds[0] == "cgroup2":
            second.append((root, point, "cgroup2"))
    yield from second


def _unescaped(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def _quota_cpus(folder: Path) -> float | None:
    text = (read_text(folder / "cpu.max") or "").split()
    if len(text) == 2 and all(map(str.isdecimal, text)) and int(text[1]):  # noqa: PLR2004  quota and period
        return int(text[0]) / int(text[1])
    quota, period = (read_int(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota / period if quota and period and quota > 0 and period > 0 else None


def _memory_bytes(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        limit = read_int(folder / name)
        if limit is not None and 0 < limit < _UNLIMITED_BYTES:
            return limit
    return None
