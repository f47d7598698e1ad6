"""The only access to Intel's library of device sensors (Level Zero Sysman): loads it, queries it, translates errors.

Functions, structures and return codes: Level Zero's specification, "Sysman Programming Guide" and zes_api.h. No call
changes a setting.
"""

from __future__ import annotations

import ctypes
from ctypes import Structure, byref, c_int32, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.model import Roots

LIBRARY = "libze_loader.so.1"
MOST_HANDLES = 256
"""The largest accepted number of drivers, devices or sensors of one kind."""
_SUCCESS, _LOST, _FORBIDDEN = 0, 0x70000001, 0x70010000
_PCI, _ENGINE, _POWER, _MEMORY, _MEMORY_STATE = 0x2, 0x5, 0xD, 0xB, 0x1E
_ALL_ENGINES, _ON_DEVICE = 0, 1
_NAMES = {
    _LOST: "the device is lost",
    _FORBIDDEN: "permission denied",
    0x70010001: "not available",
    0x70020000: "a library that it needs is missing",
    0x78000001: "no driver is initialized",
    0x78000003: "not supported",
}


class ForbiddenError(ReadError):
    """The driver refuses this user."""


class _Pci(Structure):
    _fields_ = (
        ("stype", c_uint32),
        ("next", c_void_p),
        ("domain", c_uint32),
        ("bus", c_uint32),
        ("device", c_uint32),
        ("function", c_uint32),
        ("generation", c_int32),
        ("width", c_int32),
        ("bandwidth", c_int64),
        ("have", c_uint8 * 3),
    )


class _PowerProperties(Structure):
    _fields_ = (
        ("stype", c_uint32),
        ("next", c_void_p),
        ("on_subdevice", c_uint8),
        ("subdevice", c_uint32),
        ("can_control", c_uint8),
        ("has_threshold", c_uint8),
        ("default_milliwatts", c_int32),
        ("min_milliwatts", c_int32),
        ("max_milliwatts", c_int32),
    )


class _EngineProperties(Structure):
    _fields_ = (
        ("stype", c_uint32),
        ("next", c_void_p),
        ("type", c_uint32),
        ("on_subdevice", c_uint8),
        ("subdevice", c_uint32),
    )


class _MemoryProperties(Structure):
    _fields_ = (
        ("stype", c_uint32),
        ("next", c_void_p),
        ("type", c_uint32),
        ("on_subdevice", c_uint8),
        ("subdevice", c_uint32),
        ("location", c_uint32),
        ("size", c_uint64),
        ("bus_width", c_int32),
        ("channels", c_int32),
    )


class _MemoryState(Structure):
    _fields_ = (("stype", c_uint32), ("next", c_void_p), ("health", c_uint32), ("free", c_uint64), ("size", c_uint64))


class _Counter(Structure):
    """A counter and the time of its value on a clock of the driver, in microseconds."""

    _fields_ = (("count", c_uint64), ("at_us", c_uint64))


class Sysman:
    """The loaded library. It has no function that closes it."""

    def __init__(self, roots: Roots) -> None:
        """Load the library and initialize its drivers. Raises ProbeUnavailableError."""
        path = str(Path(roots.libraries) / LIBRARY) if roots.libraries else LIBRARY
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            remedy = "install Level Zero (libze1 and libze-intel-gpu1)"
            raise ProbeUnavailableError(f"no Level Zero library: {error}", remedy) from error
        try:
            self._ask("zesInit", c_uint32(0))
        except ReadError as error:
            remedy = "install Intel's GPU driver for Level Zero (libze-intel-gpu1), and let this user open /dev/dri"
            raise ProbeUnavailableError(f"{path}: {error}", remedy) from error

    def gpus(self) -> Iterator[SysmanGpu]:
        """Yield every GPU of every driver. Raises ReadError or DeviceLostError."""
        for driver in self.handles("zesDriverGet"):
            for device in self.handles("zesDeviceGet", driver):
                yield SysmanGpu(self, device)

    def handles(self, function: str, *parents: c_void_p) -> list[c_void_p]:
        """Return the handles that a function lists: asked for their number first, then for the handles."""
        count = c_uint32(0)
        self._ask(function, *parents, byref(count), None)
        if not count.value:
            return []
        if count.value > MOST_HANDLES:
            raise ReadError(f"{function} lists {count.value} handles")
        listed = (c_void_p * count.value)()
        self._ask(function, *parents, byref(count), listed)
        return [c_void_p(handle) for handle in listed[: count.value]]

    def handle(self, function: str, parent: c_void_p) -> c_void_p:
        """Return the one handle that a function gives."""
        found = c_void_p()
        self._ask(function, parent, byref(found))
        return found

    def counter(self, function: str, handle: c_void_p) -> tuple[int, int]:
        """Return a counter, and the time of its value in microseconds."""
        found = _Counter()
        self._ask(function, handle, byref(found))
        return found.count, found.at_us

    def fill(self, function: str, handle: c_void_p, answer: Structure) -> Any:
        """Let a function fill in a structure, and return it."""
        self._ask(function, handle, byref(answer))
        return answer

    def _ask(self, function: str, *arguments: Any) -> None:
        call = getattr(self._library, function, None)
        if call is None:
            raise ReadError(f"{LIBRARY} has no {function}")
        result = call(*arguments) & 0xFFFFFFFF
        if result == _SUCCESS:
            return
        reason = f"{function}: {_NAMES.get(result, f'error {result:#x}')}"
        if result == _LOST:
            raise DeviceLostError(reason)
        raise ForbiddenError(reason) if result == _FORBIDDEN else ReadError(reason)


class SysmanGpu:
    """One GPU."""

    def __init__(self, sysman: Sysman, device: c_void_p) -> None:
        self._sysman = sysman
        self._device = device

    def address(self) -> str:
        """Return the PCI address in the form of the kernel."""
        pci = self._sysman.fill("zesDevicePciGetProperties", self._device, _Pci(stype=_PCI))
        return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.{pci.function:x}"

    def power_domain(self) -> tuple[str, c_void_p]:
        """Return the domain with the widest energy counter: the card, else its package. Raises ReadError."""
        try:
            return "card", self._sysman.handle("zesDeviceGetCardPowerDomain", self._device)
        except ForbiddenError:
            raise
        except ReadError:
            listed = self._sysman.handles("zesDeviceEnumPowerDomains", self._device)
            whole = [domain for domain in listed if self._is_whole(domain)]
        if not whole:
            raise ReadError("zesDeviceEnumPowerDomains: it lists none for the whole device")
        return "package", whole[0]

    def limit_milliwatts(self, domain: c_void_p) -> int:
        """Return the highest power limit of a domain, -1 if it is unknown."""
        answer = self._sysman.fill("zesPowerGetProperties", domain, _PowerProperties(stype=_POWER))
        return int(max(answer.max_milliwatts, answer.default_milliwatts))

    def microjoules(self, domain: c_void_p) -> int:
        """Return the energy counter of a domain."""
        return self._sysman.counter("zesPowerGetEnergyCounter", domain)[0]

    def engines(self) -> c_void_p | None:
        """Return the group of all engines of the device, None if the driver has none."""
        for group in self._sysman.handles("zesDeviceEnumEngineGroups", self._device):
            answer = self._sysman.fill("zesEngineGetProperties", group, _EngineProperties(stype=_ENGINE))
            if answer.type == _ALL_ENGINES and not answer.on_subdevice:
                return group
        return None

    def busy_microseconds(self, engines: c_void_p) -> tuple[int, int]:
        """Return the busy time of a group of engines, and the time of this value, both in microseconds."""
        return self._sysman.counter("zesEngineGetActivity", engines)

    def memories(self) -> list[c_void_p]:
        """Return the memories on the device."""
        listed = self._sysman.handles("zesDeviceEnumMemoryModules", self._device)
        return [memory for memory in listed if self._memory(memory).location == _ON_DEVICE]

    def memory_bytes(self, memories: list[c_void_p]) -> tuple[int, int]:
        """Return memory used and total memory of several memories, by their physical sizes."""
        used = total = 0
        for memory in memories:
            state = self._sysman.fill("zesMemoryGetState", memory, _MemoryState(stype=_MEMORY_STATE))
            size = self._memory(memory).size or state.size
            used, total = used + size - state.free, total + size
        return used, total

    def _memory(self, memory: c_void_p) -> Any:
        return self._sysman.fill("zesMemoryGetProperties", memory, _MemoryProperties(stype=_MEMORY))

    def _is_whole(self, domain: c_void_p) -> bool:
        return not self._sysman.fill("zesPowerGetProperties", domain, _PowerProperties(stype=_POWER)).on_subdevice
