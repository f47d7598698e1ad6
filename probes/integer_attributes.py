"""Reads the attributes of one device, kernel files of one integer each: gauges, and counters of busy or idle time."""

from __future__ import annotations

import math
import os
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from probes.busy_time import BusyTime
from probes.errors import DeviceLostError, ReadError
from probes.model import DiscoveryResult, Problem, Reason, Rejection
from probes.plausibility import BLANKS, check_gauge
from probes.remedies import cause_of, remedy_for
from probes.sysfs import RuntimeStatus, ValueFiles, is_device_removed, open_value_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from probes.driver_devices import DriverDevice
    from probes.model import Channel, Probe
    from probes.settings import SensorSettings
    from probes.sysfs import IsolatedValueFile, ValueFile

    Opened = tuple["Attribute", ValueFile]
    """An attribute and its open file."""


class Attribute(Protocol):
    """One attribute file and the channel that it feeds."""

    channel: Channel
    path: Path

    def value(self, raw: int, at_ns: int) -> float | Reason:
        """Return the value of a reading in the unit of the channel, or the reason for its rejection."""
        ...

    def pause(self) -> None:
        """Forget the earlier readings if they cannot be compared with the next: the device sleeps."""
        ...


class Gauge:
    """An attribute whose integer times `times` over `over` is the value of its channel."""

    def __init__(self, channel: Channel, path: Path, times: int = 1, over: int = 1) -> None:
        self.channel = channel
        self.path = path
        self._times, self._over = times, over

    def value(self, raw: int, at_ns: int) -> float | Reason:  # noqa: ARG002 - a gauge needs no time
        """Return the value, SENTINEL for all bits set, or IMPOSSIBLE."""
        return Reason.SENTINEL if raw in BLANKS else check_gauge(self.channel, raw * self._times / self._over)

    def pause(self) -> None:
        """Change nothing: each reading stands alone."""


class BusyShare:
    """An attribute that counts busy time, or idle time; see `BusyTime`."""

    def __init__(
        self, channel: Channel, path: Path, per_second: int, window_seconds: float, *, counts_idle: bool = False
    ) -> None:
        self.channel = channel
        self.path = path
        self._time = BusyTime(per_second, window_seconds, counts_idle=counts_idle)

    def value(self, raw: int, at_ns: int) -> float | Reason:
        """Return the busy share, NaN in the first window, or the reason for a rejection."""
        return self._time.advance(raw, at_ns)

    def pause(self) -> None:
        """Forget the earlier readings of a counter of idle time."""
        self._time.pause()


class AttributeProbe:
    """The attributes of one device; `runtime_status` is the file with its suspend state, None if there is none."""

    files_only = True

    def __init__(
        self,
        name: str,
        opened: Sequence[Opened],
        runtime_status: Path | None,
        pread: Callable[[int, int, int], bytes] = os.pread,
    ) -> None:
        self.name = name
        self.channels = tuple(attribute.channel for attribute, _ in opened)
        self.rejections: list[Rejection] = []
        self._attributes = tuple(attribute for attribute, _ in opened)
        self._files = ValueFiles([file for _, file in opened], pread)
        self._status = RuntimeStatus(runtime_status)

    @property
    def is_suspended(self) -> bool:
        """Whether the device sleeps now."""
        return self._status.is_suspended()

    def read(self, at_ns: int) -> list[float]:
        """Return one value per channel; all NaN while the device sleeps, because a read would wake it.

        Raises ReadError if no file can be read, DeviceLostError if the device was removed.
        """
        if self.is_suspended:
            for attribute in self._attributes:
                attribute.pause()
            return [math.nan] * len(self.channels)
        raws, errors = self._files.read()
        if errors and len(errors) == len(raws):
            first = next(iter(errors.values()))
            if all(map(is_device_removed, errors.values())):
                raise DeviceLostError(f"{self.name}: the device was removed") from first
            self.rejections += [Rejection(position, Reason.READ_ERROR) for position in errors]
            raise first
        return [self._checked(position, raw, at_ns) for position, raw in enumerate(raws)]

    def isolate(self) -> IsolatedValueFile | None:
        """Leave out the file in which `read` hangs, and return it; None if no read is in progress."""
        position = self._files.isolate()
        return None if position is None else self._files.isolated_file(position, (position,))

    def close(self) -> None:
        """Close every file; safe to call twice."""
        self._files.close()
        self._status.close()

    def _checked(self, position: int, raw: int | None, at_ns: int) -> float:
        value = Reason.READ_ERROR if raw is None else self._attributes[position].value(raw, at_ns)
        if isinstance(value, Reason):
            self.rejections.append(Rejection(position, value))
            return math.nan
        return value


def find_attributes(
    family: str,
    device: DriverDevice,
    attributes: Iterable[Attribute],
    settings: SensorSettings,
    make: Callable[[str, Sequence[Opened], Path | None], AttributeProbe] = AttributeProbe,
) -> DiscoveryResult:
    """Return the probe of those attributes of a device that exist and are not excluded, each tested with one read.

    The attributes of a sleeping device are not read. `make` is the class of the probe.
    """
    name = f"{family}/{device.pci.address}"
    if entries := settings.exclusions(name, device.pci.address):
        return DiscoveryResult(excluded=entries)
    present = [attribute for attribute in attributes if attribute.path.exists()]
    kept, excluded = settings.select(name, present, attrgetter("channel"))
    opened: list[Opened] = []
    problems = []
    for attribute in kept:
        try:
            opened.append((attribute, open_value_file(attribute.path, _skip if device.pci.is_suspended else _prove)))
        except (OSError, ReadError) as error:
            problems.append(Problem(str(attribute.path), cause_of(error, attribute.path), remedy_for(error)))
    probes: tuple[Probe, ...] = (make(name, opened, device.pci.runtime_status),) if opened else ()
    return DiscoveryResult(probes, tuple(problems), excluded)


def merged(results: Iterable[DiscoveryResult]) -> DiscoveryResult:
    """Return the probes, the problems and the exclusions of several results."""
    listed = tuple(results)
    return DiscoveryResult(
        tuple(probe for result in listed for probe in result.probes),
        tuple(problem for result in listed for problem in result.problems),
        frozenset(entry for result in listed for entry in result.excluded),
    )


def _prove(file: ValueFile) -> None:
    file.read()


def _skip(_: ValueFile) -> None:
    """Read nothing: the device sleeps."""
