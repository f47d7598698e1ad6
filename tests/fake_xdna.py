"""A fake of the driver amdxdna, which checks each request and answers it as the kernel does."""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from amd_cards import pci_card
from probes.xdna import discover

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "0000:c5:00.1"


class QueryRequest(ctypes.Structure):
    """struct amdxdna_drm_get_info of the kernel's amdxdna_accel.h."""

    _fields_ = (("param", ctypes.c_uint32), ("buffer_size", ctypes.c_uint32), ("buffer", ctypes.c_uint64))


class Sensor(ctypes.Structure):
    """struct amdxdna_drm_query_sensor of the kernel's amdxdna_accel.h."""

    _fields_ = (
        ("label", ctypes.c_char * 64),
        ("input", ctypes.c_uint32),
        ("max", ctypes.c_uint32),
        ("average", ctypes.c_uint32),
        ("highest", ctypes.c_uint32),
        ("status", ctypes.c_uint8 * 64),
        ("units", ctypes.c_char * 16),
        ("unitm", ctypes.c_int8),
        ("type", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 6),
    )


def iowr(group: str, number: int, size: int) -> int:
    """Return the number of an ioctl that reads and writes (the kernel's asm-generic/ioctl.h)."""
    return 3 << 30 | size << 16 | ord(group) << 8 | number


DRM_COMMAND_BASE, GET_INFO_NUMBER, QUERY_SENSORS = 0x40, 7, 4
REQUEST = iowr("d", DRM_COMMAND_BASE + GET_INFO_NUMBER, ctypes.sizeof(QueryRequest))


@dataclass(slots=True)
class FakeDriver:
    """Answers `ioctl` for the sensors of one NPU: power in milliwatts, and the busy percentage of each column.

    `error` refuses every request. `requests` counts them.
    """

    milliwatts: int | None = 1204
    columns: list[int] = field(default_factory=lambda: [50, 30, 0, 0])
    error: int = 0
    raw: bytes | None = None
    requests: int = 0

    def ioctl(self, fd: int, request: int, argument: bytearray, mutate: bool) -> int:
        """Check the request and fill its buffer. Raises OSError as the kernel does."""
        os.fstat(fd)
        assert mutate
        assert request == REQUEST
        asked = QueryRequest.from_buffer(argument)
        assert asked.param == QUERY_SENSORS
        self.requests += 1
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        filled = self.records() if self.raw is None else self.raw
        if asked.buffer_size < len(filled):
            raise OSError(errno.EINVAL, "Invalid argument")
        ctypes.memmove(asked.buffer, filled, len(filled))
        asked.buffer_size = len(filled)
        return 0

    def records(self) -> bytes:
        """Return the records as the kernel writes them."""
        power = [] if self.milliwatts is None else [sensor(b"Total Power", self.milliwatts, b"mW", -3, 0)]
        busy = [sensor(b"Column %d Utilization" % at, percent, b"%", 0, 1) for at, percent in enumerate(self.columns)]
        return b"".join(map(bytes, [*power, *busy]))

    def discover(self, roots, settings):
        """Discover with this driver."""
        return discover(roots, settings, self.ioctl)


def sensor(label: bytes, value: int, units: bytes, exponent: int, kind: int) -> Sensor:
    """Return one record."""
    return Sensor(label=label, input=value, units=units, unitm=exponent, type=kind)


def npu(sysfs: Path, dev: Path, number: int = 0) -> Path:
    """Add an NPU, its driver and its device node; return its folder."""
    folder = pci_card(
        sysfs,
        ADDRESS,
        0x17F0,
        {"vendor": "0x1022", "class": "0x118000", "power/autosuspend_delay_ms": 5000},
        "amdxdna",
    )
    (folder / f"accel/accel{number}").mkdir(parents=True)
    node = dev / f"accel/accel{number}"
    node.parent.mkdir(parents=True, exist_ok=True)
    node.touch()
    return folder
