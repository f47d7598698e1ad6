"""Counters of the kernel's performance monitoring units (PMU), described by files and opened by a system call.

Interface: perf_event_open(2), and the kernel's Documentation/ABI/testing/sysfs-bus-event_source-devices-events and
-format. No number of an event is fixed here: each comes from the files of the PMU.
"""

from __future__ import annotations

import errno
import functools
import math
import os
import platform
import re
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from probes.errors import ReadError
from probes.sysfs import read_int, read_label, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NUMBERS: Final[Mapping[str, int]] = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
"""The number of perf_event_open by architecture."""
_CLOSE_ON_EXEC = 8
_ATTRIBUTES = struct.Struct("=IIQ40xQQ40x")
"""`struct perf_event_attr` of 112 bytes: type, size, config, config1, config2; every other field is 0."""
_FIELD = re.compile(r"config([12]?):(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)")
_WORD_BITS = 64
_MOST_CPUS = 8192

Config = tuple[int, int, int]
"""The words `config`, `config1` and `config2` of a request."""


@dataclass(frozen=True, slots=True)
class Field:
    """The place of one term of an event: the number of its word, and its bits there, the lowest first."""

    word: int
    bits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a PMU: the words that select it, and the factor and the unit of its count."""

    name: str
    config: Config
    scale: float
    unit: str


class PerfSystem:
    """The two system calls; a test replaces them."""

    def open(self, attributes: bytes, cpu: int) -> int:
        """Return the descriptor of a counter of everything that runs on `cpu`. Raises OSError."""
        number = _NUMBERS.get(platform.machine())
        if number is None:
            raise OSError(errno.ENOSYS, f"perf events are not supported on {platform.machine()}")
        return _call(number, attributes, cpu)

    def read(self, descriptor: int) -> bytes:
        """Return the count of a counter. Raises OSError."""
        return os.read(descriptor, 8)


SYSTEM = PerfSystem()


class PerfCounter:
    """One open counter; `read` returns its count since it was opened, which has 64 bits."""

    __slots__ = ("_descriptor", "_system", "name")

    def __init__(self, name: str, pmu_type: int, config: Config, cpu: int, system: PerfSystem = SYSTEM) -> None:
        self.name = name
        self._system = system
        self._descriptor = system.open(_ATTRIBUTES.pack(pmu_type, _ATTRIBUTES.size, *config), cpu)

    def read(self) -> int:
        """Return the count. Raises ReadError."""
        try:
            raw = self._system.read(self._descriptor)
        except OSError as error:
            raise ReadError(f"{self.name}: {error.strerror or error}") from error
        if len(raw) != struct.calcsize("Q"):  # the kernel ended the counter, with its CPU or its driver
            raise ReadError(f"{self.name}: the kernel no longer counts it") from OSError(errno.ENODEV, "No such device")
        return int.from_bytes(raw, sys.byteorder)

    def close(self) -> None:
        """Close the counter; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Pmu:
    """One PMU below /sys/bus/event_source/devices, as its files describe it.

    `cpus` are the CPUs on which to open each event, one for each package, die or core; empty if any CPU will do.
    """

    def __init__(self, folder: Path, pmu_type: int, system: PerfSystem = SYSTEM) -> None:
        self.name = folder.name
        self.cpus = parse_cpus(read_text(folder / "cpumask") or "")
        self._folder = folder
        self._type = pmu_type
        self._system = system
        formats = sorted((folder / "format").glob("*")) if (folder / "format").is_dir() else []
        self._fields = {path.name: field for path in formats if (field := parse_field(read_text(path) or ""))}

    def event(self, name: str) -> Event | None:
        """Return the event of this name; None if the PMU has none, or describes it in an unknown way."""
        events = self._folder / "events"
        text = read_text(events / name)
        if text is None:
            return None
        try:
            config, scale = self.config(text), float(read_text(events / f"{name}.scale") or 1)
        except ValueError:
            return None
        unit = read_label(events / f"{name}.unit")
        return Event(name, config, scale, unit) if 0 < scale < math.inf else None

    def config(self, terms: str) -> Config:
        """Return the words of an event's terms, such as "event=0x02,gt=1". Raises ValueError for an unknown term."""
        return encode(self._fields, parse_terms(terms))

    def open(self, name: str, config: Config, cpu: int) -> PerfCounter:
        """Open a counter of this PMU on a CPU. Raises OSError."""
        return PerfCounter(f"{self.name}/{name}/ on CPU {cpu}", self._type, config, cpu, self._system)


def find_pmu(sysfs: Path, name: str, system: PerfSystem = SYSTEM) -> Pmu | None:
    """Return the PMU of this name, None if the kernel has none. Raises ValueError if its list of CPUs is wrong."""
    folder = sysfs / "bus/event_source/devices" / name
    pmu_type = read_int(folder / "type")
    return None if pmu_type is None else Pmu(folder, pmu_type, system)


def parse_cpus(text: str) -> tuple[int, ...]:
    """Return the CPUs of a list such as "0,24" or "0-3,8". Raises ValueError."""
    cpus: list[int] = []
    for part in text.split(",") if text.strip() else []:
        first, _, last = part.partition("-")
        span = range(int(first), int(last or first) + 1)
        if span.start < 0 or span.stop > _MOST_CPUS:
            raise ValueError(f"{part!r} is no range of CPUs")
        cpus += span
    return tuple(cpus)


def parse_field(text: str) -> Field | None:
    """Return the place that a file of `format` describes, such as "config1:0-7,32"; None for another text."""
    match = _FIELD.fullmatch(text.strip())
    if match is None:
        return None
    ends = [
        (int(first), int(last or first)) for first, _, last in (part.partition("-") for part in match[2].split(","))
    ]
    if any(last < first or last >= _WORD_BITS for first, last in ends):
        return None
    return Field(int(match[1] or 0), tuple(bit for first, last in ends for bit in range(first, last + 1)))


def parse_terms(text: str) -> dict[str, int]:
    """Return the terms of an event by name; a term without a value is 1. Raises ValueError."""
    pairs = (term.strip().partition("=") for term in text.split(","))
    return {name.strip(): int(value, 0) if equals else 1 for name, equals, value in pairs}


def encode(fields: Mapping[str, Field], terms: Mapping[str, int]) -> Config:
    """Return the words with the value of every term in its bits. Raises ValueError for a term without a place."""
    words = [0, 0, 0]
    for name, value in terms.items():
        field = fields.get(name)
        if field is None or not 0 <= value < 1 << len(field.bits):
            raise ValueError(f"the PMU has no place for {name}={value}")
        for position, bit in enumerate(field.bits):
            words[field.word] |= (value >> position & 1) << bit
    return words[0], words[1], words[2]


@functools.cache
def _library() -> Any:
    import ctypes  # noqa: PLC0415  only hosts with a PMU need it

    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, attributes: bytes, cpu: int) -> int:
    import ctypes  # noqa: PLC0415  only hosts with a PMU need it

    every_process, no_group = -1, -1
    numbers = map(ctypes.c_long, (every_process, cpu, no_group, _CLOSE_ON_EXEC))
    descriptor: int = _library().syscall(ctypes.c_long(number), ctypes.c_char_p(attributes), *numbers)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor
