"""The only access to NVIDIA's management library (NVML): opens it, queries it, and translates its errors.

Meanings of functions, fields and return codes: NVIDIA's NVML API Reference Guide. No call changes a setting.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.text import decoded, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LIBRARY = "libnvidia-ml.so.1"
_SUCCESS, _NO_PERMISSION, _DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND = 0, 4, 9, 12
_FUNCTION_NOT_FOUND, _VERSION_MISMATCH, _UNKNOWN = 13, 18, 999
# The binding raises "success" if the driver had nothing to write; drivers answer "not found" in the same case.
_NO_DATA_CODES = frozenset({_SUCCESS, 6})
_MOST_PERCENT = 100
_LOST_CODES = frozenset({15, 28})
# Invalid argument (a field that older drivers lack), not supported, no permission, no such function, unknown structure
# version, deprecated: the driver will not answer differently later.
_ABSENT_CODES = frozenset({2, 3, _NO_PERMISSION, _FUNCTION_NOT_FOUND, 25, 26})
_VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
_OTHER_LIBRARY = f"give the path of the driver's own library, whose soname is {LIBRARY}"
_REMEDIES = {
    _DRIVER_NOT_LOADED: "load the kernel module (sudo modprobe nvidia); nothing to do if the GPU is meant to be off",
    _VERSION_MISMATCH: "reboot, or reload the nvidia kernel modules: the driver was updated under the running one",
    _NO_PERMISSION: "let this user open /dev/nvidiactl and /dev/nvidia* (file modes, the service's device rules)",
    _FUNCTION_NOT_FOUND: _OTHER_LIBRARY,
    _LIBRARY_NOT_FOUND: _OTHER_LIBRARY,
}


class AbsentError(ReadError):
    """The driver or this GPU has no such sensor, or does not show it; asking again is useless."""


class ForbiddenError(AbsentError):
    """The driver refuses this user."""


class UnknownError(ReadError):
    """The driver states no reason. Those of WSL answer so in place of "not supported"."""


class NoDataError(ReadError):
    """The driver understood the query, and has no value for the requested time."""


@dataclass(frozen=True, slots=True)
class GpuProcesses:
    """The users of a GPU, by process number in the driver's name space; None if the driver does not report them.

    `programs` have the GPU open for computing now. `shares` are the shares of some time in which each process used it,
    without idle processes. They can add up to more than 1, because kernels of several processes can run at once.
    """

    programs: frozenset[int] | None
    shares: Mapping[int, float] | None


@dataclass(frozen=True, slots=True)
class PciPlace:
    """The bus address of a GPU in the form of sysfs, and its chip (`model`: the PCI device number)."""

    address: str
    model: int


def open_session(library: str = "") -> Session:
    """Open a session of the driver library at the path `library`, or of the one that the dynamic linker finds.

    Raises ProbeUnavailableError, without a remedy if no NVIDIA driver is installed. The library is loaded before its
    Python binding: a failed attempt costs far less than the import of the binding. The linker resolves the name of a
    loaded library to that library, so the binding uses the requested one.
    """
    try:
        loaded = ctypes.CDLL(library or LIBRARY)
    except OSError as error:
        remedy = "correct the path of the NVML library, or leave it empty" if library else ""
        raise ProbeUnavailableError(f"no NVIDIA driver library: {error}", remedy) from error
    import pynvml  # noqa: PLC0415 (45 ms that only hosts with the driver should pay)

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        reason = f"{library or LIBRARY}: {error}"
        raise ProbeUnavailableError(reason, _REMEDIES.get(error.value, "see the output of nvidia-smi")) from error
    session = Session(pynvml)
    if pynvml.nvmlLib._handle != loaded._handle:  # noqa: SLF001 (a documented attribute of ctypes libraries)
        session.close()
        raise ProbeUnavailableError(f"{library} is not the {LIBRARY} that this process uses", _OTHER_LIBRARY)
    return session


class Session:
    """One open session. The driver library counts sessions and releases the GPUs when the last one closes.

    Without persistence mode that restarts the energy counters, so their readers hold a session open.
    """

    __slots__ = ("_nvml", "_open")

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._open = True

    def another(self) -> Session:
        """Open one more session of the same library, which must be closed separately. Raises ReadError."""
        _ask(self._nvml, "nvmlInit")
        return Session(self._nvml)

    def close(self) -> None:
        """Close this session; safe to call twice."""
        if self._open:
            self._open = False
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def driver_version(self) -> str:
        """Return the version of the kernel driver; empty if it reports none."""
        return _text(self._nvml, "nvmlSystemGetDriverVersion")

    def gpu_count(self) -> int:
        """Return the number of GPUs that the driver lists, including broken ones. Raises ReadError."""
        return int(_ask(self._nvml, "nvmlDeviceGetCount"))

    def gpu(self, index: int) -> Gpu:
        """Return the GPU numbered `index`, valid until the next boot. Raises DeviceLostError or ReadError."""
        return Gpu(self._nvml, _ask(self._nvml, "nvmlDeviceGetHandleByIndex", index))


class Gpu:
    """One GPU of an open session.

    Every method raises DeviceLostError if the GPU fell off the bus, AbsentError if it has no such sensor, and ReadError
    if it returned nothing this time. Numbers are in NVML's own units.
    """

    __slots__ = ("_handle", "_nvml")

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    def ask(self, function: str, *arguments: Any) -> Any:
        """Return the answer of `function` of NVML about this GPU."""
        return _ask(self._nvml, function, self._handle, *arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        """Return the answer of `function` of NVML, or the structure of that name."""
        return _ask(self._nvml, function, *arguments)

    def part(self, handle: Any) -> Gpu:
        """Return the part of this GPU that a handle of NVML denotes."""
        return Gpu(self._nvml, handle)

    def number(self, function: str, *arguments: int) -> int:
        """Return the integer that `function` of NVML returns for this GPU."""
        return int(_ask(self._nvml, function, self._handle, *arguments))

    def text(self, function: str) -> str:
        """Return the text or number that `function` of NVML returns for this GPU; empty if there is none."""
        return _text(self._nvml, function, self._handle)

    def pci_place(self) -> PciPlace | None:
        """Return the bus address in the form of sysfs, whose domain has four digits instead of NVML's eight."""
        try:
            place = _ask(self._nvml, "nvmlDeviceGetPciInfo", self._handle)
            domain, _, rest = place.busId.lower().partition(":")
            return PciPlace(f"{int(domain, 16):04x}:{one_line(rest)}", place.pciDeviceId >> 16)
        except (ReadError, ValueError):  # including an address that is not text
            return None

    def module_id(self) -> str:
        """Return the number of the GPU's slot in its machine, empty if it has none.

        NVML writes the number to our buffer and returns its code: the only form that every release of the binding has.
        """
        number = ctypes.c_uint()
        try:
            code = _ask(self._nvml, "nvmlDeviceGetModuleId", self._handle, ctypes.byref(number))
        except ReadError:
            return ""
        return str(number.value) if code == _SUCCESS else ""

    def mig_enabled(self) -> bool | None:
        """Return whether the GPU is split into instances now; None if it cannot be or does not report it."""
        try:
            return bool(_ask(self._nvml, "nvmlDeviceGetMigMode", self._handle)[0])
        except ReadError:
            return None

    def utilization_percent(self) -> int:
        """Return the share of the driver's last period in which any kernel ran."""
        return int(_ask(self._nvml, "nvmlDeviceGetUtilizationRates", self._handle).gpu)

    def programs(self) -> frozenset[int]:
        """Return the processes that have this GPU, or a part of it, open for computing."""
        listed = _ask(self._nvml, "nvmlDeviceGetComputeRunningProcesses_v3", self._handle)
        return frozenset(int(each.pid) for each in listed)

    def busy_shares(self, since_us: int) -> dict[int, float]:
        """Return the share of the time since a moment (Unix microseconds) in which each process used the GPU.

        Idle processes are left out. The driver samples every 1/6 to 1 s, so a shorter time may look empty. Raises
        AbsentError on a GPU that is split into instances, ReadError if the driver's answer is impossible.
        """
        try:
            samples = _ask(self._nvml, "nvmlDeviceGetProcessUtilization", self._handle, since_us)
        except NoDataError:
            return {}
        found = {int(each.pid): int(each.smUtil) for each in samples}
        if any(percent > _MOST_PERCENT for percent in found.values()):
            raise ReadError(f"the driver reports that a process used the GPU for {max(found.values())} % of the time")
        return {pid: percent / 100 for pid, percent in found.items()}

    def memory_bytes(self) -> tuple[int, int]:
        """Return memory used and total memory; the driver's own reserve does not count as used (version 2)."""
        memory = _ask(self._nvml, "nvmlDeviceGetMemoryInfo", self._handle, self._nvml.nvmlMemory_v2)
        return int(memory.used), int(memory.total)

    def field(self, number: int, scope: int) -> int:
        """Return one field of one scope."""
        return _field_value(
            self._nvml, _ask(self._nvml, "nvmlDeviceGetFieldValues", self._handle, [(number, scope)])[0]
        )

    def fields(self, wanted: Sequence[tuple[int, int]]) -> list[int | None]:
        """Return several (field, scope) pairs from one call, in order; None for each that failed alone."""
        answers: list[int | None] = []
        for answer in _ask(self._nvml, "nvmlDeviceGetFieldValues", self._handle, wanted):
            try:
                answers.append(_field_value(self._nvml, answer))
            except ReadError:
                answers.append(None)
        return answers


def _ask(nvml: Any, function: str, *arguments: Any) -> Any:
    call = getattr(nvml, function, None)
    if call is None:
        raise AbsentError(f"the Python binding of NVML has no {function}")
    try:
        return call(*arguments)
    except nvml.NVMLError as error:
        raise _translated(function, error) from error


def _text(nvml: Any, function: str, *arguments: Any) -> str:
    """Return the printable text of `function`; empty if it returns none. It need not be UTF-8."""
    try:
        return one_line(str(_ask(nvml, function, *arguments)))
    except ReadError:
        return ""
    except UnicodeDecodeError as error:  # raised by the binding
        return decoded(error.object)


def _field_value(nvml: Any, answer: Any) -> int:
    if answer.nvmlReturn != _SUCCESS:
        raise _translated(f"field {answer.fieldId} of scope {answer.scopeId}", nvml.NVMLError(answer.nvmlReturn))
    return int(getattr(answer.value, _VALUE_MEMBERS[answer.valueType]))


def _translated(asked: str, error: Any) -> ReadError | DeviceLostError:
    reason = f"{asked}: {error}"
    if error.value in _LOST_CODES:
        return DeviceLostError(reason)
    if error.value in _NO_DATA_CODES:
        return NoDataError(reason)
    if error.value == _NO_PERMISSION:
        return ForbiddenError(reason)
    if error.value == _UNKNOWN:
        return UnknownError(reason)
    return AbsentError(reason) if error.value in _ABSENT_CODES else ReadError(reason)
