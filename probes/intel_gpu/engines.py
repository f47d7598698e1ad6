"""Reads the busy share of each compute and render engine of an Intel GPU from the counters of the driver xe.

Interface: the kernel's drivers/gpu/drm/xe/xe_pmu.c and include/uapi/drm/xe_drm.h. An open counter keeps the card awake,
so that it is opened only if the kernel may not suspend the card anyway.
"""

from __future__ import annotations

import errno
import math
from dataclasses import dataclass
from operator import attrgetter, or_
from typing import TYPE_CHECKING

from probes.errors import ReadError
from probes.model import Channel, DiscoveryResult, Kind, Problem, Reason, Rejection
from probes.perf_events import SYSTEM, find_pmu
from probes.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from probes.driver_devices import DriverDevice
    from probes.model import Device
    from probes.perf_events import Event, PerfCounter, PerfSystem, Pmu
    from probes.settings import SensorSettings

CLASSES = {"render": 0, "compute": 4}
"""The numbers of the engine classes that run inference (DRM_XE_ENGINE_CLASS)."""
_MOST_INSTANCES = 8
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_REMEDY = "give the program CAP_PERFMON, or set kernel.perf_event_paranoid to 0; the idle residency is read anyway"


@dataclass(slots=True)
class Engine:
    """One engine: its channel, its counters of busy ticks and of all ticks, and their last counts."""

    channel: Channel
    active: PerfCounter
    total: PerfCounter
    last: tuple[int, int] | None = None

    def share(self) -> float | Reason:
        """Return the busy share since the last call, NaN at the first. Raises ReadError."""
        before, self.last = self.last, (self.active.read(), self.total.read())
        if before is None or self.last[1] == before[1]:
            return math.nan
        busy, elapsed = self.last[0] - before[0], self.last[1] - before[1]
        return busy / elapsed if 0 <= busy <= elapsed else Reason.IMPOSSIBLE

    def close(self) -> None:
        """Close the counters."""
        self.active.close()
        self.total.close()


class EngineProbe:
    """The engines of one GPU."""

    files_only = False

    def __init__(self, name: str, engines: Sequence[Engine]) -> None:
        self.name = name
        self.channels = tuple(engine.channel for engine in engines)
        self.rejections: list[Rejection] = []
        self._engines = tuple(engines)

    def read(self, at_ns: int) -> list[float]:  # noqa: ARG002 - the ticks are the time base
        """Return one busy share per engine. Raises ReadError if no counter can be read."""
        values: list[float] = []
        failures: list[ReadError] = []
        for position, engine in enumerate(self._engines):
            try:
                value = engine.share()
            except ReadError as error:
                value = Reason.READ_ERROR
                failures.append(error)
            if isinstance(value, Reason):
                self.rejections.append(Rejection(position, value))
                value = math.nan
            values.append(value)
        if len(failures) == len(values):
            raise failures[0]
        return values

    def close(self) -> None:
        """Close every counter; safe to call twice."""
        for engine in self._engines:
            engine.close()


def find_engines(
    sysfs: Path, gpu: DriverDevice, settings: SensorSettings, system: PerfSystem = SYSTEM
) -> DiscoveryResult:
    """Return the probe of the engines of a GPU that the kernel never suspends, or the problem of the permission."""
    device = gpu.as_device(Kind.GPU)
    name = f"intel_gpu/{gpu.pci.address}-engines"
    if read_text(gpu.pci.folder / "power/control") != "on" or settings.exclusions(name, gpu.pci.address):
        return DiscoveryResult(excluded=settings.exclusions(name, gpu.pci.address))
    try:
        pmu = find_pmu(sysfs, f"xe_{gpu.pci.address.replace(':', '_')}", system)
    except ValueError as error:
        return DiscoveryResult((), (Problem(name, str(error), "update the kernel", is_unreadable=False),))
    events = (pmu.event("engine-active-ticks"), pmu.event("engine-total-ticks")) if pmu else (None, None)
    if pmu is None or events[0] is None or events[1] is None:
        return DiscoveryResult()
    found: list[Engine] = []
    gts = sorted(int(gt.name.removeprefix("gt")) for gt in gpu.pci.folder.glob("tile[0-9]*/gt[0-9]*"))
    try:
        for gt in gts:
            found += _engines_of(pmu, (events[0], events[1]), device, gt)
    except OSError as error:
        for engine in found:
            engine.close()
        reason = f"the counters of its engines are not read: {error.strerror or error}"
        return DiscoveryResult((), (Problem(name, reason, _REMEDY, is_unreadable=False),))
    kept, excluded = settings.select(name, found, attrgetter("channel"))
    for engine in found:
        if engine not in kept:
            engine.close()
    return DiscoveryResult((EngineProbe(name, kept),) if kept else (), (), excluded)


def _engines_of(pmu: Pmu, events: tuple[Event, Event], device: Device, gt: int) -> Iterator[Engine]:
    """Yield the engines of a part; the kernel refuses one that does not exist. Raises OSError without permission."""
    cpu = pmu.cpus[0] if pmu.cpus else 0
    for kind, number in CLASSES.items():
        for instance in range(_MOST_INSTANCES):
            place = pmu.config(f"gt={gt},engine_class={number},engine_instance={instance}")
            counters: list[PerfCounter] = []
            try:
                for event in events:
                    words = map(or_, event.config, place)
                    counters.append(pmu.open(event.name, (next(words), next(words), next(words)), cpu))
            except OSError as error:
                for counter in counters:
                    counter.close()
                if error.errno in _DENIED:
                    raise
                break
            channel = Channel(device, f"gt{gt}-{kind}{instance}", "utilization_ratio", method="engine ticks")
            yield Engine(channel, counters[0], counters[1])
