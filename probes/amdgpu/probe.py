"""Reads the table and the files of one AMD GPU.

Interface: the kernel's Documentation/gpu/amdgpu/thermal.rst.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from probes.amdgpu.metrics_table import decode
from probes.attributes import AttributeProbe
from probes.errors import ReadError
from probes.model import Reason
from probes.nvml.library import GpuProcesses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from probes.amdgpu.sensors import ReducedTime, TableSensor
    from probes.attributes import OpenAttribute
    from probes.fdinfo import ClientShares
    from probes.model import Channel, Device
    from probes.raw_file import RawFile


class TableReader:
    """The open file of a table, the sensors that it feeds, and the time of reduced clocks if the firmware counts it."""

    def __init__(self, file: RawFile, sensors: Sequence[TableSensor], reduced: ReducedTime | None) -> None:
        self._file = file
        self._sensors = tuple(sensors)
        self._reduced = reduced
        self.channels: tuple[Channel, ...] = (
            *(sensor.channel for sensor in sensors),
            *(reduced.channels if reduced else ()),
        )

    def values(self, at_ns: int, *, counters_only: bool) -> Iterator[float | Reason]:
        """Read the table once, and yield a value or a reason for every channel. Raises ReadError."""
        table = decode(self._file.read())
        if table is None:  # truncated, or of another format than at discovery
            yield from [Reason.READ_ERROR] * len(self.channels)
            return
        for sensor in self._sensors:
            yield math.nan if counters_only and sensor.counter is None else sensor.value(table, at_ns)
        if self._reduced:
            yield from [math.nan] * len(self._reduced.channels) if counters_only else self._reduced.advance(table)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


class AmdGpuProbe(AttributeProbe):
    """The sensors of one card: those of its table first, the energy before all others.

    `gpu` is the id of the device, whose users are found by comparing scans. `table` is None for a card without a known
    table.
    """

    scans_users = True

    def __init__(
        self,
        name: str,
        device: Device,
        table: TableReader | None,
        opened: Sequence[OpenAttribute],
        runtime_status: Path | None,
        users: ClientShares,
    ) -> None:
        super().__init__(name, opened, runtime_status)
        self.gpu = device.id
        self.channels = (*(table.channels if table else ()), *self.channels)
        self._table = table
        self._users = users

    def read(self, at_ns: int) -> list[float]:
        """Return one value per channel; all NaN while the card is suspended, because a read would wake it.

        Raises ReadError if every file fails, DeviceLostError if every file reports that the card was removed.
        """
        return self._read(at_ns, self._opened, counters_only=False)

    def read_counters(self, at_ns: int) -> list[float]:
        """Return the energy, NaN for everything else: one read of the table."""
        energy = self._read(at_ns, (), counters_only=True)
        return energy + [math.nan] * (len(self.channels) - len(energy))

    def gpu_processes(self, since_us: int) -> GpuProcesses:
        """Return the processes on the card now, and their shares of its time since a moment in Unix microseconds.

        Another thread than that of `read` may call this. A suspended card has no users.
        """
        return GpuProcesses(None, None) if self._status.is_suspended() else self._users.gpu_processes(since_us)

    def close(self) -> None:
        """Close every file; safe to call twice."""
        if self._table:
            self._table.close()
        super().close()

    def _read(self, at_ns: int, opened: Sequence[OpenAttribute], *, counters_only: bool) -> list[float]:
        if self._status.is_suspended():
            return [math.nan] * len(self.channels)
        errors: list[ReadError] = []
        found: list[float | Reason] = []
        if self._table:
            try:
                found += self._table.values(at_ns, counters_only=counters_only)
            except ReadError as error:
                errors.append(error)
                found = [Reason.READ_ERROR] * len(self._table.channels)
        found += [self._value(each, errors) for each in opened]
        self._raise_if_all_failed(errors, len(opened) + bool(self._table))
        return self._checked(found)
