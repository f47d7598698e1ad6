"""A simulated /sys on tmpfs whose powercap counters a separate process moves every millisecond."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from c_programs import HERE, compile_program
from power_steps import Steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TMPFS = Path("/dev/shm")  # memory, as /sys is


@dataclass(frozen=True, slots=True)
class Zone:
    """A powercap zone; `share` is the part of the power that it counts.

    `folder` is the kernel's name: `intel-rapl:0` lies in the control type, `intel-rapl:0:1` in `intel-rapl:0`.
    """

    folder: str
    name: str
    share: float
    start_uj: int = 118_821_284_256
    range_uj: int = 262_143_328_850
    limit_watts: int = 500


@dataclass(frozen=True, slots=True)
class Host:
    """A simulated host: the root of its /sys, the page of its power with its path, and the process of the counters."""

    sysfs: Path
    steps: Steps
    page: Path
    mover: int

    def seen_by(self, argv: Sequence[object]) -> list[str]:
        """Return the command line that runs `argv` with this host's counters in /sys, for it and its children alone.

        Needs root, or the right to make a user namespace. Everything else in /sys is unchanged.
        """
        root = [] if os.geteuid() == 0 else ["--map-root-user"]
        shell = ["unshare", *root, "--mount", "--propagation", "private", "bash", str(HERE / "over_sys.sh")]
        return [*shell, str(self.sysfs), *map(str, argv)]


@contextmanager
def simulated_powercap(zones: Sequence[Zone], watts: float, period_us: int = 1000) -> Iterator[Host]:
    """Make a host with these zones and this power, whose counters move once per period inside the block."""
    with tempfile.TemporaryDirectory(prefix="inferometer-bench-", dir=TMPFS) as folder:
        sysfs, page = Path(folder) / "sys", Path(folder) / "steps"
        counted = [argument for zone in zones for argument in _made(sysfs, zone)]
        steps = Steps.create(page, watts)
        mover = subprocess.Popen([compile_program("counters"), str(period_us), page, *counted], stdout=subprocess.PIPE)
        try:
            if mover.stdout is None or mover.stdout.readline() != b"moving\n":
                raise RuntimeError(f"counters.c does not move: it ended with {mover.wait()}")
            yield Host(sysfs, steps, page, mover.pid)
        finally:
            mover.kill()
            mover.communicate()


def _made(sysfs: Path, zone: Zone) -> list[str]:
    """Make a zone as the kernel shows it, and return its arguments for counters.c."""
    control = sysfs / "devices/virtual/powercap" / zone.folder.partition(":")[0]
    parts = zone.folder.split(":")
    folder = control.joinpath(*(":".join(parts[: depth + 1]) for depth in range(1, len(parts))))
    _fill(control, {"enabled": 1})
    limits = {"name": "long_term", "power_limit_uw": zone.limit_watts * 10**6, "time_window_us": 999_424}
    limits |= {"max_power_uw": zone.limit_watts * 10**6}
    _fill(folder, {f"constraint_0_{key}": value for key, value in limits.items()})
    _fill(
        folder,
        {"name": zone.name, "enabled": 1, "energy_uj": zone.start_uj, "max_energy_range_uj": zone.range_uj},
    )
    for shown in (control, folder):
        _link(sysfs / "class/powercap" / shown.name, shown)
        _link(shown / "subsystem", sysfs / "class/powercap")
    _link(folder / "device", folder.parent)
    return [str(folder / "energy_uj"), str(zone.start_uj), str(zone.range_uj), str(zone.share)]


def _fill(folder: Path, values: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n", encoding="utf-8")


def _link(link: Path, to: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(to, link.parent))
