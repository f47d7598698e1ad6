"""The busy shares of the units of an NVIDIA GPU, and the parts into which it is split (MIG).

Interface: NVIDIA's NVML API Reference Guide: GPM, of Hopper and later GPUs, and multi instance GPU management. A metric
of GPM is the mean over the time between two samples.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.errors import ReadError
from probes.model import Channel
from probes.nvml.queries import Sensor, SensorQuery, exists

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from probes.nvml.library import Gpu
    from probes.nvml.queries import GpuInfo

REFRESH_SECONDS = 0.5
METHOD = "mean between samples"
BY_ACTIVITY, BY_SLICES = "busy shares of the instances", "slices of the instances"
_UNITS: Mapping[str, int] = {"sm": 2, "tensor": 5, "memory": 10}
"""The unit, and its metric: busy multiprocessors, busy tensor cores, used share of the memory's bandwidth."""
_VERSION = 1
_SUCCESS = 0
_MOST_PERCENT, _ROUNDING_PERCENT = 100.0, 1.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A part of a GPU: its UUID, the number of its GPU instance, and its slices of the GPU; None if unknown."""

    part: Gpu
    uuid: str
    number: int
    slices: int | None


class PerformanceCounters:
    """The busy shares between two samples of a GPU, or of one of its instances."""

    def __init__(self, gpu: Gpu, metrics: Sequence[int], instance: int | None = None) -> None:
        self._gpu = gpu
        self._metrics = tuple(metrics)
        self._instance = instance
        self._samples: list[Any] = []
        self._query: Any = None
        self._has_sample = False

    def percents(self) -> list[float | None]:
        """Take a sample; return the metrics since the previous one, NaN without one or without a value.

        None stands for a metric that failed. Raises ReadError.
        """
        if self._query is None:
            self._allocate()
        newer, older = self._samples
        if self._instance is None:
            self._gpu.ask("nvmlGpmSampleGet", newer)
        else:
            self._gpu.ask("nvmlGpmMigSampleGet", self._instance, newer)
        self._samples.reverse()
        if not self._has_sample:
            self._has_sample = True
            return [math.nan] * len(self._metrics)
        self._query.sample1, self._query.sample2 = older, newer
        self._gpu.call("nvmlGpmMetricsGet", self._query)
        return [_percent(self._query.metrics[at]) for at in range(len(self._metrics))]

    def check(self) -> None:
        """Take a sample and forget it. Raises ReadError if the driver refuses it."""
        self.percents()
        self._has_sample = False

    def close(self) -> None:
        """Free both samples; safe to call twice."""
        samples, self._samples, self._query, self._has_sample = self._samples, [], None, False
        for sample in samples:
            with suppress(ReadError):
                self._gpu.call("nvmlGpmSampleFree", sample)

    def _allocate(self) -> None:
        while len(self._samples) < 2:  # noqa: PLR2004 (the previous one and the next one)
            self._samples.append(self._gpu.call("nvmlGpmSampleAlloc"))
        query = self._gpu.call("c_nvmlGpmMetricsGet_t")
        query.version, query.numMetrics = _VERSION, len(self._metrics)
        for at, metric in enumerate(self._metrics):
            query.metrics[at].metricId = metric
        self._query = query


def activity(one: GpuInfo) -> list[SensorQuery]:
    """Return the query of the busy shares of a GPU's units, none if it does not count them."""
    sensors = tuple(_share(one, unit) for unit in _UNITS)
    return _counted(one.gpu, sensors, PerformanceCounters(one.gpu, tuple(_UNITS.values())))


def instances(one: GpuInfo) -> list[SensorQuery]:
    """Return the queries of the parts of a split GPU, each a domain named by its UUID: busy share and memory."""
    found: list[SensorQuery] = []
    seen: set[int] = set()
    for each in instances_of(one.gpu):
        if each.number not in seen:  # the parts of one GPU instance share its counters
            seen.add(each.number)
            counters = PerformanceCounters(one.gpu, (_UNITS["sm"],), each.number)
            found += _counted(one.gpu, (_share(one, each.uuid),), counters)
        if exists(each.part.memory_bytes):
            used = tuple(Sensor(Channel(one.device, each.uuid, f"memory_{which}_bytes")) for which in ("used", "total"))
            found.append(SensorQuery(used, each.part.memory_bytes, seldom=True))
    return found


def instances_of(gpu: Gpu) -> Iterator[Instance]:
    """Yield the parts of a split GPU in the driver's order."""
    try:
        count = gpu.number("nvmlDeviceGetMaxMigDeviceCount")
    except ReadError:
        return
    for index in range(count):
        try:
            part = gpu.part(gpu.ask("nvmlDeviceGetMigDeviceHandleByIndex", index))
            uuid, number = part.text("nvmlDeviceGetUUID"), part.number("nvmlDeviceGetGpuInstanceId")
        except ReadError:  # no part has this number
            continue
        if uuid:
            yield Instance(part, uuid, number, _slices(part))


def attribution(gpu: Gpu) -> tuple[tuple[str, str], ...]:
    """Return the facts of a split GPU: its parts with their slices, and the basis on which its energy can be shared.

    Power and energy exist only for the whole GPU.
    """
    parts = tuple(instances_of(gpu))
    named = ", ".join(f"{each.uuid}: {each.slices}" for each in parts if each.slices)
    if not parts:
        return ()
    basis = BY_ACTIVITY if _counts(gpu) else BY_SLICES if named else ""
    return (("slices", named), ("attribution", basis))


def _slices(part: Gpu) -> int | None:
    try:
        return int(part.ask("nvmlDeviceGetAttributes").gpuInstanceSliceCount)
    except ReadError:
        return None


def _share(one: GpuInfo, domain: str) -> Sensor:
    channel = Channel(one.device, domain, "utilization_ratio", method=METHOD, refresh_seconds=REFRESH_SECONDS)
    return Sensor(channel, over=100)


def _counted(gpu: Gpu, sensors: tuple[Sensor, ...], counters: PerformanceCounters) -> list[SensorQuery]:
    found = False
    try:
        found = _counts(gpu) and exists(counters.check)
    finally:
        if not found:
            counters.close()
    if not found:
        return []
    return [SensorQuery(sensors, counters.percents, seldom=True, close=counters.close)]


def _counts(gpu: Gpu) -> bool:
    """Return whether the GPU has performance counters that the driver shows."""
    try:
        return bool(gpu.ask("nvmlGpmQueryDeviceSupport").isSupportedDevice)
    except ReadError:
        return False


def _percent(metric: Any) -> float | None:
    """Return the value of one metric, 100 for one that rounding raised above."""
    if metric.nvmlReturn != _SUCCESS:
        return None
    value = float(metric.value)
    return _MOST_PERCENT if _MOST_PERCENT < value <= _MOST_PERCENT + _ROUNDING_PERCENT else value
