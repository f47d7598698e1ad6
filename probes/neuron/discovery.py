"""Finds AWS Inferentia and Trainium devices, and reads their load from neuron-monitor.

The driver shows a percentage of the highest power of each device, which AWS does not publish, so that no watts follow.
A write to a counter of the driver clears it; nothing is written. Interface: AWS's documents of the Neuron driver.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.commands import find
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Rejection, Roots
from probes.neuron.monitor import PERIOD_SECONDS, REMEDY, Monitor, parse
from probes.printed import Printed, checked
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_int, read_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FOLDER = "/opt/aws/neuron/bin"
RETRY_SECONDS = 10.0
"""The time after which a program that ended is started again."""
_MOST_CORES = 64
_NO_POWER = "AWS shows no power of this device, only a percentage of an unpublished maximum"
_NO_POWER_REMEDY = "compare by the price of the instance: `--price-per-hour`; the energy of the host is incomplete"


@dataclass(frozen=True, slots=True)
class NeuronDevice:
    """A device and the number of its cores."""

    device: Device
    cores: int


class NeuronProbe:
    """The load of all devices; `start` starts the program, which runs until the probe is closed."""

    name = "neuron"
    files_only = False

    def __init__(
        self, start: Callable[[], Monitor], printed: Sequence[Printed], clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.channels = tuple(each.channel for each in printed)
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self._start, self._printed, self._clock = start, tuple(printed), clock
        self._monitor: Monitor | None = start()
        self._retry_ns = self._asked_ns = 0

    def read(self, at_ns: int) -> list[float]:
        """Return the values of the last report; nothing new (`taken_ns` is None) without one since the last read.

        Raises ReadError if the program ended; it is started again later.
        """
        self.taken_ns = None
        report = self._report(at_ns)
        asked_ns, self._asked_ns = self._asked_ns or at_ns, at_ns
        if report is None:
            return [math.nan] * len(self.channels)
        found = parse(report)
        self.taken_ns = (asked_ns, max(at_ns, self._clock()))
        return checked(self._printed, found, at_ns, self.rejections)

    def close(self) -> None:
        """End the program; safe to call twice."""
        if self._monitor:
            self._monitor.close()
            self._monitor = None
        self._retry_ns = 1 << 63

    def _report(self, at_ns: int) -> str | None:
        if self._monitor is None:
            if at_ns < self._retry_ns:
                raise ReadError("neuron-monitor ended")
            self._retry_ns = at_ns + round(RETRY_SECONDS * 1e9)
            self._monitor = self._start()
        try:
            return self._monitor.latest()
        except ReadError:
            self._monitor.close()
            self._monitor = None
            self._retry_ns = at_ns + round(RETRY_SECONDS * 1e9)
            raise


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the devices of the Neuron driver, and start neuron-monitor."""
    devices = list(_devices(Path(roots.sysfs)))
    if not devices:
        raise ProbeUnavailableError(f"no device of the Neuron driver below {roots.sysfs}/class/neuron_device")
    kept, excluded = settings.select("neuron", list(_described(devices)), attrgetter("channel"))
    left = {each.channel.device.id for each in kept}
    problems = [_without_power(one.device) for one in devices if one.device.id in left]
    if not kept:
        return DiscoveryResult(excluded=excluded)
    try:
        path = find(roots, "neuron-monitor", FOLDER)
        probe = NeuronProbe(lambda: Monitor(path), kept)
    except ProbeUnavailableError as error:
        problems.append(Problem("neuron/neuron-monitor", error.reason, REMEDY))
        return DiscoveryResult((), tuple(problems), excluded)
    except ReadError as error:
        problems.append(Problem("neuron/neuron-monitor", str(error), REMEDY))
        return DiscoveryResult((), tuple(problems), excluded)
    return DiscoveryResult((probe,), tuple(problems), excluded)


def _devices(sysfs: Path) -> Iterator[NeuronDevice]:
    """Yield the devices in the order of their numbers; the names of the files are stable, their folders are not."""
    folders = {
        int(match[1]): folder
        for folder in (sysfs / "class/neuron_device").glob("neuron*")
        if (match := re.fullmatch(r"neuron(\d+)", folder.name))
    }
    for _, folder in sorted(folders.items()):
        serial = _text(folder, "serial_number")
        name = _text(folder, "device_name") or "Neuron"
        attributes = (("driver", "neuron"), ("serial", serial), ("instance_type", _text(folder, "instance_type")))
        known = tuple((key, value) for key, value in attributes if value)
        cores = read_int(_leaf(folder, "core_count")) or 0
        device = Device(serial or folder.name, Kind.ACCELERATOR, name, known)
        yield NeuronDevice(device, min(cores, _MOST_CORES))


def _leaf(folder: Path, name: str) -> Path:
    return next(iter(sorted(folder.glob(f"**/{name}"))), folder / name)


def _text(folder: Path, name: str) -> str:
    return read_label(_leaf(folder, name))


def _described(devices: Sequence[NeuronDevice]) -> Iterator[Printed]:
    """Yield the channels: neuron-monitor numbers the cores of all devices, and adds up the memory of all devices."""
    first = 0
    for one in devices:
        for core in range(one.cores):
            channel = Channel(
                one.device,
                f"core-{core}",
                "utilization_ratio",
                method="average",
                refresh_seconds=PERIOD_SECONDS,
            )
            yield Printed(channel, first + core)
        first += one.cores
    if len(devices) == 1:
        yield Printed(Channel(devices[0].device, "memory", "memory_used_bytes"), "used")
    for one in devices:
        yield Printed(Channel(one.device, "memory", "memory_total_bytes"), "total")


def _without_power(device: Device) -> Problem:
    stand_in = Channel(device, "card", "utilization_ratio")
    return Problem(f"neuron/{device.id}", _NO_POWER, _NO_POWER_REMEDY, is_unreadable=False, device=stand_in)
