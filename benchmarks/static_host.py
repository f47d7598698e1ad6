"""A simulated host on tmpfs, whose sensors are constant files, and the service that reads them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parent.parent
TMPFS = Path("/dev/shm")  # memory, as /sys is
_ZONES = (("package-0", 0, None), ("core", 0, 0), ("dram", 0, 1), ("psys", 1, None))
_CHIP_CHANNELS = 12
_START_SECONDS = 30.0
NVML = "libnvidia-ml.so.1"
"""The driver library of a host, in its folder, if it has a GPU."""


@dataclass(frozen=True, slots=True)
class StaticHost:
    """A host: its folder, its /sys, and the files with the channels' values."""

    folder: Path
    sysfs: Path
    files: tuple[Path, ...]


@contextmanager
def static_host(channels: int) -> Iterator[StaticHost]:
    """Make a host of at most four powercap zones, and of hwmon chips with twelve power sensors each."""
    with tempfile.TemporaryDirectory(prefix="inferometer-bench-", dir=TMPFS) as name:
        folder = Path(name)
        sysfs = folder / "sys"
        (folder / "proc").mkdir()
        zones = [_zone(sysfs, *zone) for zone in _ZONES[:channels]]
        sensors = list(range(channels - len(zones)))
        chips = [sensors[at : at + _CHIP_CHANNELS] for at in range(0, len(sensors), _CHIP_CHANNELS)]
        powers = [file for number, chip in enumerate(chips) for file in power_chip(sysfs, number, len(chip))]
        yield StaticHost(folder, sysfs, (*zones, *powers))


def _zone(sysfs: Path, name: str, package: int, part: int | None) -> Path:
    control = sysfs / "devices/virtual/powercap/intel-rapl"
    folder = control / f"intel-rapl:{package}"
    if part is not None:
        folder /= f"{folder.name}:{part}"
    _fill(folder, {"name": name, "enabled": 1, "energy_uj": 118_821_284_256, "max_energy_range_uj": 262_143_328_850})
    _link(sysfs / "class/powercap" / folder.name, folder)
    return folder / "energy_uj"


def power_chip(sysfs: Path, number: int, sensors: int) -> list[Path]:
    """Add a chip of power sensors and return their files."""
    chip = sysfs / f"devices/platform/meter.{number}/hwmon/hwmon{number}"
    values = {f"power{sensor}_input": 12_345_678 + sensor for sensor in range(1, sensors + 1)}
    _fill(chip, {"name": "meter", **values})
    (chip / "device").symlink_to("../..")
    _link(sysfs / f"class/hwmon/hwmon{number}", chip)
    return [chip / name for name in values]


def _fill(folder: Path, values: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n", encoding="utf-8")


def _link(link: Path, to: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(to, link.parent))


@contextmanager
def daemon(host: StaticHost, period_seconds: float, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service on a host, with a store in its folder, from its report of the start.

    `before` is put before its command line, such as `taskset`.
    """
    config, log = host.folder / "config.toml", host.folder / "log"
    config.write_text(
        f'database = "{host.folder / "store.db"}"\n'
        f"[sampling]\nperiod_seconds = {period_seconds}\nestimates = false\ncpu_budget = 0\n"
        f'[path]\nsysfs = "{host.sysfs}"\nprocfs = "{host.folder / "proc"}"\nnvml_library = "{host.folder / NVML}"\n'
        '[exporter]\nlisten = "127.0.0.1:0"\n',
        encoding="utf-8",
    )
    line = [*before, sys.executable, "-m", "agent.daemon.entry", "--config", str(config)]
    with log.open("wb") as errors:
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_ARENA_MAX": "1"}
        process = subprocess.Popen(line, env=variables, stderr=errors)
    try:
        _await_start(process, log)
        yield process
    finally:
        process.terminate()
        process.wait()


def _await_start(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while b"msg=started" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the service does not start: {log.read_text(encoding='utf-8')}")
        time.sleep(0.05)
