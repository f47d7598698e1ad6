"""Reads the energy, power, clocks, memory and temperature of NVIDIA GPUs: one probe a physical GPU.

Interface: NVIDIA's NVML API Reference Guide. What a GPU has is found once, by asking; the hot path asks only for that.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import ENERGY_METRICS, Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection, Roots
from probes.nvml.library import AbsentError, ForbiddenError, Gpu, GpuProcesses, Session, open_session
from probes.nvml.sensors import SCOPE_MODULE, GpuInfo, SensorQuery, find_queries, power_fields
from probes.sysfs import RuntimeStatus, read_int, read_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_SOLDERED = re.compile(r"\b(?:G[BH]\d{2,3}|Orin|Xavier|Tegra|Thor)\b")
"""Names of GPUs that share a module with their processor: Grace Hopper and Grace Blackwell, DGX Spark, Jetson."""
_NO_UUID = re.compile(r"(?:GPU-)?[0-]{32,}")


class NvmlProbe:
    """The sensors of one GPU; holds a session of the driver library open until it is closed."""

    files_only = False

    def __init__(
        self, session: Session, one: GpuInfo, queries: tuple[SensorQuery, ...], runtime_status: Path | None
    ) -> None:
        self.gpu = one.device.id
        self.name = _name(one)
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
        """Return one value per channel; raises ReadError if no call succeeded, DeviceLostError if the GPU is gone.

        A GPU that the kernel has put to sleep is left asleep: asking it would wake it, so every value is NaN.
        """
        return self._read(self._queries, at_ns)

    def read_counters(self, at_ns: int) -> list[float]:
        """Return the energy, NaN for everything else: one call to the driver instead of about ten."""
        return self._read(self._counters, at_ns)

    def _read(self, asked: Collection[SensorQuery], at_ns: int) -> list[float]:
        """Ask some of the queries; the channels of the others are NaN."""
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
        """Return who has the GPU now, and who kept it busy since a moment in Unix microseconds.

        A GPU that sleeps is not asked, as it would wake. May be called from another thread than `read`.
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
        """Close this probe's session; the driver lets go of the GPUs when the last probe's is closed."""
        self._session.close()
        self._status.close()


def discover(roots: Roots) -> DiscoveryResult:
    """Find the GPUs that the driver at `roots.nvml_library` numbers, and prove each with one read."""
    session = open_session(roots.nvml_library)
    problems: list[Problem] = []
    try:
        seen = _identify_gpus(session, problems)
        holders = _module_publishers(seen)
        found = (_probe_of(session, one, holders.get(one.device.id, ""), roots, problems) for one in seen)
        probes = tuple(probe for probe in found if probe)
    finally:
        session.close()
    return DiscoveryResult(probes, tuple(problems))


def _identify_gpus(session: Session, problems: list[Problem]) -> list[GpuInfo]:
    try:
        count = session.gpu_count()
    except (ReadError, DeviceLostError) as error:
        raise ProbeUnavailableError(
            f"the NVIDIA driver numbers no GPUs: {error}", "see what nvidia-smi says"
        ) from error
    if not count:
        raise ProbeUnavailableError("the NVIDIA driver is loaded and shows no GPU")
    driver = session.driver_version()
    seen = []
    for index in range(count):
        try:
            seen.append(identify_gpu(session.gpu(index), driver))
        except (ReadError, DeviceLostError) as error:
            problems.append(_problem(f"NVIDIA GPU number {index}", error))
    return _with_own_ids(seen, problems)


def _with_own_ids(seen: list[GpuInfo], problems: list[Problem]) -> list[GpuInfo]:
    """Add the bus address to each UUID that several GPUs share, or that is all zeros, as of virtual functions."""
    times = Counter(one.device.id for one in seen)
    found = []
    for number, one in enumerate(seen):
        uuid = one.device.id
        if times[uuid] == 1 and not _NO_UUID.fullmatch(uuid):
            found.append(one)
            continue
        own = f"{uuid}@{one.place.address if one.place else number}"
        found.append(replace(one, device=replace(one.device, id=own), board=own if one.board == uuid else one.board))
        if times[uuid] > 1:
            reason = f"{times[uuid]} GPUs report the same UUID {uuid}; this one is listed with its bus address"
            problems.append(
                Problem(f"nvml/{own}", reason, "update the driver or its virtual GPUs", is_unreadable=False)
            )
    return found


def identify_gpu(gpu: Gpu, driver: str) -> GpuInfo:
    """Find out who a GPU is. Raises ReadError if it does not tell its UUID."""
    uuid = gpu.text("nvmlDeviceGetUUID")
    if not uuid:
        raise ReadError("it does not tell its UUID")
    place, mig = gpu.pci_place(), gpu.mig_enabled()
    serial, board = gpu.text("nvmlDeviceGetSerial"), gpu.text("nvmlDeviceGetBoardId")
    if not serial.strip("0"):
        serial = ""  # never written into the GPU, so it tells no boards apart
    attributes = (
        ("pci_address", place.address if place else ""),
        ("serial", serial),
        ("driver_version", driver),
        ("board_id", f"{int(board):#x}" if board else ""),
        ("module_id", gpu.module_id()),
        ("mig", "" if mig is None else "enabled" if mig else "disabled"),
    )
    known = tuple((name, value) for name, value in attributes if value)
    device = Device(uuid, Kind.GPU, gpu.text("nvmlDeviceGetName"), known)
    return GpuInfo(gpu, device, place, bool(mig), serial or uuid, power_fields(gpu, SCOPE_MODULE))


def _module_publishers(seen: Sequence[GpuInfo]) -> dict[str, str]:
    """Map each GPU that reports module power to the first such GPU of its board, which alone publishes it.

    Every GPU of a board reports the power of the whole board (both GPUs and the processor beside them).
    """
    first: dict[str, str] = {}
    return {one.device.id: first.setdefault(one.board, one.device.id) for one in seen if one.module}


def _module_of(one: GpuInfo, holder: str, roots: Roots) -> tuple[tuple[str, str], ...]:
    """Return the module that a GPU shares with a processor as the (device, domain) of its meter, () for a card.

    It has the number of the processor's socket; where that is not known, the GPU says that it is on some module,
    unless it is in the report of one already.
    """
    if not _SOLDERED.search(one.device.name):
        return ()
    sysfs = Path(roots.sysfs)
    nearest = read_text(sysfs / "bus/pci/devices" / one.place.address / "local_cpulist") if one.place else None
    first = re.match(r"\d+", nearest or "")
    package = read_int(sysfs / f"devices/system/cpu/cpu{first[0]}/topology/physical_package_id") if first else None
    if package is not None:
        return ((f"module-{package}", "module"),)
    return () if holder else (("module", "module"),)


def _probe_of(session: Session, one: GpuInfo, holder: str, roots: Roots, problems: list[Problem]) -> NvmlProbe | None:
    module = _module_of(one, holder, roots)
    stand_in = Channel(one.device, "board", "utilization_ratio", contained_in=module)
    try:
        queries = find_queries(one, holder, module)
        if not queries:
            raise _refusal(one.gpu)
        probe = NvmlProbe(session.another(), one, queries, _runtime_status(one, roots))
    except (ReadError, DeviceLostError) as error:
        problems.append(_problem(_name(one), error, stand_in))
        return None
    try:
        probe.read(0)
    except (ReadError, DeviceLostError) as error:
        probe.close()
        problems.append(_problem(probe.name, error, stand_in))
        return None
    probe.rejections.clear()
    if not any(channel.metric in ENERGY_METRICS for channel in probe.channels):
        problems.append(_no_power_problem(probe.name, one, stand_in))
    return probe


def _refusal(gpu: Gpu) -> ReadError | DeviceLostError:
    """Return the error with which a GPU refuses its power, the most general one if it does not."""
    try:
        gpu.number("nvmlDeviceGetPowerUsage")
    except (ReadError, DeviceLostError) as error:
        return error
    return AbsentError("none of its sensors can be read")


def _no_power_problem(name: str, one: GpuInfo, stand_in: Channel) -> Problem:
    """Return the problem of a GPU whose driver shows some sensors, and neither power nor energy."""
    error = _refusal(one.gpu)
    return replace(_problem(name, error, stand_in), is_unreadable=not isinstance(error, AbsentError))


def _name(one: GpuInfo) -> str:
    return f"nvml/{one.device.id}"


def _runtime_status(one: GpuInfo, roots: Roots) -> Path | None:
    """Return the file in which the kernel says whether the GPU sleeps, None if there is none."""
    if one.place is None:
        return None
    path = Path(roots.sysfs) / "bus/pci/devices" / one.place.address / "power/runtime_status"
    return path if path.exists() else None


def _problem(sensor: str, error: ReadError | DeviceLostError, device: Channel | None = None) -> Problem:
    if isinstance(error, DeviceLostError):
        remedy = "look for Xid errors in the kernel log (dmesg | grep -i xid); reset the GPU or reboot"
    elif isinstance(error, ForbiddenError):
        remedy = "let this user open /dev/nvidia* (file modes, the service's device rules)"
    elif isinstance(error, AbsentError):
        remedy = (
            "nothing to do on a Jetson, a GB10 or a virtual GPU, whose driver offers no sensor; else update the driver"
        )
    else:
        remedy = "see what nvidia-smi says of this GPU, and the kernel log"
    return Problem(sensor, str(error), remedy, device=device)
