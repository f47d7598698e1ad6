"""A small family of meters, sound or with one fault, and a fake host with two of them."""

from __future__ import annotations

import math
import os
from pathlib import Path

from probes.conformance import FakeSensor
from probes.counter import Counter
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection, Roots
from probes.plausibility import BLANKS, max_watts
from probes.remedies import remedy_for
from probes.sysfs import RuntimeStatus, ValueFile, is_device_removed, open_value_file, read_label
from trees import write
from value_file_hosts import ValueFileHost

RANGE = 10**12
HIGHEST_WATTS = 1e6


class Files:
    """The files of a meter, read one after the other through `_pread`."""

    def __init__(self, files):
        self._files = files
        self._pread = os.pread

    def read(self):
        return [file.read_by(self._pread) for file in self._files]

    def close(self):
        for file in self._files:
            file.close()


class Meter:
    """A counter and a gauge; `fault` is the name of the check that it must fail."""

    files_only = True

    def __init__(self, folder, channels, files, fault):
        self.name = f"meter/{channels[0].device.id}"
        self.channels, self.rejections, self._fault = channels, [], fault
        self._files = Files(files)
        self._status = RuntimeStatus(folder / "runtime_status")
        self._counter = Counter(0 if fault == "wraps" else RANGE, max_watts(channels[0]) * 1e6, 1.0)
        if fault == "handles":
            self._left_open = os.open(folder, os.O_RDONLY)
        if fault == "writing":
            write(folder / "energy_uj", files[0].read())

    def read(self, at_ns):
        if self._fault == "order":
            self.channels = self.channels[::-1]
        if self._status.is_suspended() and self._fault != "suspension":
            return [math.nan, math.nan]
        try:
            energy, power = self._files.read()
        except ReadError as error:
            return self._refused(error)
        return [self._energy(energy, at_ns), self._power(power)]

    def close(self):
        self._files.close()
        self._status.close()

    def _refused(self, error):
        if self._fault in {"failing reads", "removal"}:
            return [1.0, 1.0]
        if self._fault == "garbage":
            raise ValueError("not a number") from error
        raise DeviceLostError("gone") if is_device_removed(error) else error

    def _energy(self, raw, at_ns):
        if self._fault == "resets":
            return raw / 1e6
        reason = self._counter.advance(raw, at_ns)
        return self._rejected(0, reason) if reason else self._counter.total / 1e6

    def _power(self, raw):
        if raw in BLANKS and self._fault != "blanks":
            return self._rejected(1, Reason.SENTINEL)
        watts = raw / (1e3 if self._fault == "units" else 1e6)
        return watts if watts < HIGHEST_WATTS else self._rejected(1, Reason.IMPOSSIBLE)

    def _rejected(self, position, reason):
        self.rejections.append(Rejection(position, reason))
        return math.nan


def discover(roots, settings, fault=""):
    folders = sorted(Path(roots.sysfs, "meters").glob("*"))
    if not folders:
        raise ProbeUnavailableError("" if fault == "absence" else f"no meter below {roots.sysfs}")
    probes, problems, excluded = [], [], frozenset()
    for folder in folders:
        channels = channels_of(folder.name if fault == "renumbering" else read_label(folder / "serial"), fault)
        entries = settings.exclusions("meter", channels[0].device.id) if fault != "exclusion" else frozenset()
        excluded |= entries
        if entries:
            continue
        try:
            probes.append(Meter(folder, channels, files_of(folder, fault), fault))
        except (OSError, ReadError) as error:
            remedy = "" if fault == "failing discovery" else remedy_for(error)
            problems.append(Problem(str(folder), str(error), remedy))
    return DiscoveryResult(tuple(probes), tuple(problems), excluded)


def channels_of(serial, fault):
    device = Device(serial, Kind.BOARD)
    outer = ((serial, "wall"),) if fault == "containment" else ()
    metric = "power" if fault == "description" else "power_watts"
    return (
        Channel(device, "wall", "energy_joules", method="counter", contained_in=outer, wraps_at=RANGE / 1e6),
        Channel(device, "wall", metric, method="instant", contained_in=outer),
    )


def files_of(folder, fault):
    asleep = read_label(folder / "runtime_status") == "suspended" and fault != "suspended discovery"
    prove = (lambda _: None) if asleep else ValueFile.read
    return [open_value_file(folder / name, prove) for name in ("energy_uj", "power_uw")]


class MetersHost(ValueFileHost):
    def __init__(self, folder):
        sensors = []
        meters = [folder / f"sys/meters/meter{number}" for number in range(2)]
        for number, (meter, serial) in enumerate(zip(meters, ("A7", "B2"), strict=True)):
            write(meter / "serial", serial)
            write(meter / "runtime_status", "active")
            energy = write(meter / "energy_uj", 10**9 * (number + 1))
            power = write(meter / "power_uw", 200_000_000 + number)
            sensors.append(FakeSensor(energy, (f"{serial}/wall", "energy_joules"), 1e6, 200_000_000, RANGE))
            sensors.append(FakeSensor(power, (f"{serial}/wall", "power_watts"), 1e6))
        statuses = [meter / "runtime_status" for meter in meters]
        places = {"presence": meters, "numbered": meters, "statuses": statuses}
        super().__init__(folder, Roots(sysfs=str(folder / "sys")), sensors, **places)
