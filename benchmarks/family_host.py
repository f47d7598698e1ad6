"""A simulated host with the sensors of many families: trees of tests/fixtures in one, and a fake NVIDIA driver."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from static_host import NVML, ROOT, StaticHost, power_chip, static_host

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import fake_nvml  # noqa: E402  from the folder above
from probes.model import Roots  # noqa: E402
from probes.registry import discover  # noqa: E402
from probes.settings import SensorSettings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TREES = ROOT / "tests/fixtures/trees"
_LEFT_OUT = frozenset({"amd_energy", "cray_gh200", "intel_arc_i915", "rapl_pmu"})
"""Trees with places of another tree, and one whose performance counters would be those of this host."""
_FIRST_CHIP = 50
_NUMBERED = ("hwmon", "drm", "accel")
"""Classes whose entries are numbered in the order of discovery, so that two trees have the same names."""


@dataclass(frozen=True, slots=True)
class FamilyHost:
    """The host, and the number of its channels by family."""

    host: StaticHost
    channels: Mapping[str, int]


@contextmanager
def family_host(channels: int) -> Iterator[FamilyHost]:
    """Merge the trees whose devices do not overlap, and add chips of twelve sensors up to this number of channels."""
    with static_host(0) as host:
        numbers = itertools.count()
        for tree in sorted(tree for tree in TREES.iterdir() if tree.name not in _LEFT_OUT):
            _merge(tree / "sys", host.sysfs, numbers)
        shutil.copytree(ROOT / "tests/fixtures/proc/epyc_two_packages", host.folder / "proc", dirs_exist_ok=True)
        fake_nvml.write_state(fake_nvml.build(host.folder), [fake_nvml.H100])
        for chip in itertools.count(_FIRST_CHIP):
            missing = channels - sum(channels_by_family(host).values())
            if missing <= 0:
                break
            power_chip(host.sysfs, chip, min(missing, 12))
        yield FamilyHost(host, channels_by_family(host))


@contextmanager
def reading_probes(host: StaticHost, rate_hz: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the loop that reads the probes of a host and stores nothing."""
    folders = (host.sysfs, host.folder / "proc", host.folder / NVML, host.folder / "nothing")
    line = [sys.executable, Path(__file__).with_name("reading_probes.py"), *folders, str(rate_hz)]
    with subprocess.Popen(list(map(str, line)), env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        try:
            yield process
        finally:
            process.kill()


def channels_by_family(host: StaticHost) -> Mapping[str, int]:
    """Discover the sensors of a host, and count their channels."""
    nothing = str(host.folder / "nothing")
    roots = Roots(str(host.sysfs), str(host.folder / "proc"), str(host.folder / NVML), nothing, nothing, nothing)
    found = discover(roots, SensorSettings(estimates=False))
    counts: dict[str, int] = {}
    for probe in found.probes:
        family = probe.name.partition("/")[0]
        counts[family] = counts.get(family, 0) + len(probe.channels)
    found.close()
    return counts


def _merge(tree: Path, sysfs: Path, numbers: Iterator[int]) -> None:
    """Add the files and links of a tree that the host does not have yet; numbered entries get new numbers."""
    for path in sorted(tree.rglob("*")):
        target = sysfs / path.relative_to(tree)
        if path.parent.parent.name == "class" and path.parent.name in _NUMBERED and path.is_symlink():
            target = target.with_name(f"{path.name.rstrip('0123456789')}{next(numbers)}")
        if os.path.lexists(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(path.readlink())
        elif path.is_file():
            shutil.copyfile(path, target)
        else:
            target.mkdir()
