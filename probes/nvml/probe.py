"""Reads the energy, power, clocks, memory and temperature of one NVIDIA GPU, as found by discovery.

Interface: NVIDIA's NVML API Reference Guide.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from probes.errors import DeviceLostError, ReadError
from probes.model import Reason, Rejection
from probes.nvml.library import GpuProcesses
from probes.sysfs import RuntimeStatus

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from probes.nvml.library import Session
    from probes.nvml.queries import GpuInfo, SensorQuery

INTERVAL_NS = 200_000_000
"""The least time between two samples of performance counters: NVIDIA's 100 ms, and as much for a late read.

A shorter time shows a busy H200 as idle.
"""


class QueryProbe:
    """Some of the sensors of one GPU; holds a session of the driver library until it is closed."""

    files_only = False

    def __init__(
        self,
        name: str,
        session: Session,
        queries: tuple[SensorQuery, ...],
        runtime_status: Path | None,
    ) -> None:
        self.name = name
        self.channels = tuple(sensor.channel for query in queries for sensor in query.sensors)
        self.rejections: list[Rejection] = []
        self._queries = queries
        self._all = range(len(queries))
        self._session = session
        self._status = RuntimeStatus(runtime_status)

    def read(self, at_ns: int) -> list[float]:
        """Return one value per channel. Raises ReadError if every call failed, DeviceLostError if the GPU is gone.

        A suspended GPU is not queried, because that would wake it: every value is NaN.
        """
        return self._read(self._all, at_ns)

    def close(self) -> None:
        """Free the driver's buffers and close this probe's session; the last one to close releases the GPUs."""
        for query in self._queries:
            query.close()
        self._session.close()
        self._status.close()

    def _read(self, asked: Collection[int], at_ns: int) -> list[float]:
        """Run some of the queries; the channels of the others are NaN."""
        if self._status.is_suspended():
            return [math.nan] * len(self.channels)
        values: list[float] = []
        answered = failures = 0
        for number, query in enumerate(self._queries):
            if number not in asked:
                values += [math.nan] * len(query.sensors)
                continue
            answered += len(query.sensors)
            for sensor, raw in zip(query.sensors, query.answers(), strict=True):
                value = sensor.value(raw, at_ns)
                if isinstance(value, Reason):
                    self.rejections.append(Rejection(len(values), value))
                    failures += value is Reason.READ_ERROR
                    value = math.nan
                values.append(value)
        if failures == answered:
            raise ReadError(f"{self.name}: the driver answered none of {failures} sensors")
        return values


class ActivityProbe(QueryProbe):
    """The sensors of one GPU that are read seldom: throttled time, bytes over links, busy shares.

    A read less than `INTERVAL_NS` after the last one asks for nothing, and `taken_ns` is None.
    """

    def __init__(
        self, session: Session, one: GpuInfo, queries: tuple[SensorQuery, ...], runtime_status: Path | None
    ) -> None:
        super().__init__(f"{probe_name(one)}/activity", session, queries, runtime_status)
        self.taken_ns: tuple[int, int] | None = None
        self._next_ns = 0

    def read(self, at_ns: int) -> list[float]:
        """Return one value per channel; all NaN if it is too early. Raises ReadError and DeviceLostError."""
        self.taken_ns = None
        if at_ns < self._next_ns:
            return [math.nan] * len(self.channels)
        self._next_ns = at_ns + INTERVAL_NS
        values = super().read(at_ns)
        self.taken_ns = (at_ns, at_ns)
        return values


class NvmlProbe(QueryProbe):
    """The sensors of one GPU that are read often, and its processes."""

    def __init__(
        self, session: Session, one: GpuInfo, queries: tuple[SensorQuery, ...], runtime_status: Path | None
    ) -> None:
        super().__init__(probe_name(one), session, queries, runtime_status)
        self.gpu = one.device.id
        self._gpu = one.gpu
        self._counters = frozenset(
            number
            for number, query in enumerate(queries)
            if any(sensor.channel.metric == "energy_joules" for sensor in query.sensors)
        )

    def read_counters(self, at_ns: int) -> list[float]:
        """Return the energy, NaN for everything else: one call to the driver instead of about ten."""
        return self._read(self._counters, at_ns)

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        """Return the processes on the GPU now, and their shares of its time since a moment in Unix microseconds.

        A suspended GPU is not queried, because that would wake it. Another thread than that of `read` may call this.
        """
        if self._status.is_suspended():
            return GpuProcesses(None, None)
        programs, shares = None, None
        with suppress(ReadError, DeviceLostError):
            programs = self._gpu.programs()
        with suppress(ReadError, DeviceLostError):
            shares = self._gpu.busy_shares(since_us)
        return GpuProcesses(programs, shares)


def probe_name(one: GpuInfo) -> str:
    """Return the name of the probe of a GPU; the one of its sensors that are read seldom adds `/activity`."""
    return f"nvml/{one.device.id}"
