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
    from probes.nvml.sensors import GpuInfo, SensorQuery


class NvmlProbe:
    """The sensors of one GPU; holds a session of the driver library until it is closed."""

    files_only = False

    def __init__(
        self, session: Session, one: GpuInfo, queries: tuple[SensorQuery, ...], runtime_status: Path | None
    ) -> None:
        self.gpu = one.device.id
        self.name = probe_name(one)
        self.channels = tuple(sensor.channel for query in queries for sensor in query.sensors)
        self.rejections: list[Rejection] = []
        self._queries = queries
        self._counters = tuple(
            query for query in queries if any(sensor.counter is not None for sensor in query.sensors)
        )
        self._session = session
        self._gpu = one.gpu
        self._status = RuntimeStatus(runtime_status)

    def read(self, at_ns: int) -> list[float]:
        """Return one value per channel. Raises ReadError if every call failed, DeviceLostError if the GPU is gone.

        A suspended GPU is not queried, because that would wake it: every value is NaN.
        """
        return self._read(self._queries, at_ns)

    def read_counters(self, at_ns: int) -> list[float]:
        """Return the energy, NaN for everything else: one call to the driver instead of about ten."""
        return self._read(self._counters, at_ns)

    def _read(self, asked: Collection[SensorQuery], at_ns: int) -> list[float]:
        """Run some of the queries; the channels of the others are NaN."""
        if self._status.is_suspended():
            return [math.nan] * len(self.channels)
        values: list[float] = []
        answered = failures = 0
        for query in self._queries:
            if query not in asked:
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

    def close(self) -> None:
        """Close this probe's session; the driver releases the GPUs when the last session closes."""
        self._session.close()
        self._status.close()


def probe_name(one: GpuInfo) -> str:
    """Return the name of the probe of a GPU."""
    return f"nvml/{one.device.id}"
