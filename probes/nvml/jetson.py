"""The load of a Jetson's GPU, which the kernel shows, and NVIDIA's driver library seldom or never.

Interface: devfreq's device of the GPU, to which NVIDIA's driver adds `load` in thousandths.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import DeviceLostError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection
from probes.nvml.queries import Sensor, SensorQuery
from probes.remedies import cause_of, remedy_for
from probes.sysfs import ValueFile, is_device_removed, open_value_file, read_label

if TYPE_CHECKING:
    from probes.model import Roots
    from probes.settings import SensorSettings

METHOD = "load of devfreq"
MODULE = (("module", "module"),)
"""The container of a GPU that cannot name its module."""
_REFRESH_SECONDS = 0.1
_PER_UNIT = 1000


class JetsonGpu:
    """The load of a Jetson's GPU, for hosts without NVIDIA's driver library."""

    files_only = True

    def __init__(self, name: str, sensor: Sensor, file: ValueFile) -> None:
        self.name = name
        self.channels: tuple[Channel, ...] = (sensor.channel,)
        self.rejections: list[Rejection] = []
        self._sensor = sensor
        self._file = file

    def read(self, at_ns: int) -> list[float]:
        """Return the busy share. Raises ReadError, and DeviceLostError if the device was removed."""
        try:
            value = self._sensor.value(self._file.read(), at_ns)
        except ReadError as error:
            if is_device_removed(error):
                raise DeviceLostError(str(error)) from error
            raise
        if isinstance(value, Reason):
            self.rejections.append(Rejection(0, value))
            return [math.nan]
        return [value]

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


def load_query(device: Device, roots: Roots) -> list[SensorQuery]:
    """Return the query of the load of the only Jetson GPU of this host, none if there is none or it cannot be read."""
    path = _load_path(roots)
    if path is None:
        return []
    try:
        file = open_value_file(path)
    except (OSError, ReadError):
        return []
    return [SensorQuery((_sensor(device),), lambda: (file.read(),), close=file.close)]


def find_gpu(roots: Roots, settings: SensorSettings) -> DiscoveryResult | None:
    """Return the GPU of a Jetson by its load alone, None if there is none."""
    path = _load_path(roots)
    if path is None:
        return None
    number = path.parts[-3]
    model = read_label(Path(roots.sysfs) / "firmware/devicetree/base/model")
    name, sensor = f"nvml/{number}", _sensor(Device(number, Kind.GPU, model, (("driver", "nvgpu"),)))
    kept, excluded = settings.select(name, [sensor], lambda each: each.channel)
    if not kept:
        return DiscoveryResult(excluded=excluded)
    try:
        file = open_value_file(path)
    except (OSError, ReadError) as error:
        problem = Problem(str(path), cause_of(error, path), remedy_for(error), device=sensor.channel)
        return DiscoveryResult(problems=(problem,))
    return DiscoveryResult((JetsonGpu(name, sensor, file),))


def _load_path(roots: Roots) -> Path | None:
    found = sorted((Path(roots.sysfs) / "class/devfreq").glob("*.gpu/device/load"))
    return found[0] if len(found) == 1 else None


def _sensor(device: Device) -> Sensor:
    channel = Channel(
        device,
        "board",
        "utilization_ratio",
        method=METHOD,
        refresh_seconds=_REFRESH_SECONDS,
        resolution=1 / _PER_UNIT,
        contained_in=MODULE,
    )
    return Sensor(channel, over=_PER_UNIT)
