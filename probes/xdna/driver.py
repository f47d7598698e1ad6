"""Queries the sensors of the driver amdxdna.

Interface: the kernel's include/uapi/drm/amdxdna_accel.h, DRM_IOCTL_AMDXDNA_GET_INFO with DRM_AMDXDNA_QUERY_SENSORS.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Ioctl = Callable[[int, int, bytearray, bool], int]

GET_INFO = 0xC0106447
"""_IOWR('d', DRM_COMMAND_BASE + 7, 16 bytes)."""
QUERY_SENSORS = 4
REQUEST = struct.Struct("=IIQ")
"""The number of the query, the size of the buffer in bytes (in and out), and its address."""
RECORD = struct.Struct("=64sIIII64s16sbB6x")
"""Label, present value, maximum, average, highest; status, unit, power of ten, type."""
MOST_RECORDS = 64
POWER, COLUMN_UTILIZATION = 0, 1
_MISSING = 0xFFFFFFFF
_LARGEST_EXPONENT = 9


@dataclass(frozen=True, slots=True)
class NpuReading:
    """The power in watts and the mean utilization of the columns, 0 to 1; None for each that is absent."""

    watts: float | None
    utilization: float | None


def parse_sensors(raw: bytes) -> NpuReading:
    """Return the reading of whole records; other types of sensors are ignored.

    A value times 10^exponent is in watts or percent, whatever the text of its unit.
    """
    powers: list[float | None] = []
    columns: list[float | None] = []
    whole = len(raw) // RECORD.size * RECORD.size
    for _, value, _, _, _, _, _, exponent, kind in RECORD.iter_unpack(raw[:whole]):
        known = value != _MISSING and abs(exponent) <= _LARGEST_EXPONENT
        scaled = value * 10.0**exponent if known else None
        if kind == POWER:
            powers.append(scaled)
        elif kind == COLUMN_UTILIZATION:
            columns.append(scaled)
    present = [percent for percent in columns if percent is not None]
    is_complete = bool(columns) and len(present) == len(columns)
    return NpuReading(
        powers[0] if powers else None,
        sum(present) / len(present) / 100 if is_complete else None,
    )


def query(node: Path, ioctl: Ioctl = fcntl.ioctl) -> NpuReading:
    """Return the present reading of the NPU behind a device node. This wakes an NPU that sleeps.

    The node is open only during the query, because some drivers hold an NPU awake while it is open. Raises ReadError.
    """
    records = (ctypes.c_char * (RECORD.size * MOST_RECORDS))()
    request = bytearray(REQUEST.pack(QUERY_SENSORS, len(records), ctypes.addressof(records)))
    try:
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
        try:
            ioctl(fd, GET_INFO, request, True)
        finally:
            os.close(fd)
    except OSError as error:
        raise ReadError(f"{node}: {error.strerror or error}") from error
    _, filled, _ = REQUEST.unpack(request)
    return parse_sensors(bytes(records)[:filled])
