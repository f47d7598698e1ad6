"""Finds the NVIDIA GPUs of the host, the sensors of each, and the GPUs that share a board.

Interface: NVIDIA's NVML API Reference Guide.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import ENERGY_METRICS, Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.nvml.activity import attribution
from probes.nvml.jetson import find_gpu, load_query
from probes.nvml.library import AbsentError, ForbiddenError, Gpu, Session, open_session
from probes.nvml.probe import ActivityProbe, NvmlProbe, QueryProbe, probe_name
from probes.nvml.queries import GpuInfo, SensorQuery
from probes.nvml.sensors import SCOPE_MODULE, find_queries, power_fields
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_int, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SOLDERED = re.compile(r"\b(?:G[BH]\d{2,3}|Orin|Xavier|Tegra|Thor)\b")
"""Names of GPUs that share a module with their processor: Grace Hopper and Grace Blackwell, DGX Spark, Jetson."""
_TEGRA = re.compile(r"\b(?:Orin|Xavier|Tegra|Thor)\b")
_NO_UUID = re.compile(r"(?:GPU-)?[0-]{32,}")


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the GPUs that the driver at `roots.nvml_library` lists, and test each with one read.

    Without that driver the GPU of a Jetson is found by its load.
    """
    try:
        session = open_session(roots.nvml_library)
    except ProbeUnavailableError:
        if jetson := find_gpu(roots, settings):
            return jetson
        raise
    search = _Search(session, roots, settings)
    try:
        gpus = search.selected(_identify_gpus(session, search.problems))
        publishers = _module_publishers(gpus)
        found = [probe for gpu in gpus for probe in search.probes_of(gpu, publishers.get(gpu.device.id, ""))]
    finally:
        session.close()
    return DiscoveryResult(tuple(found), tuple(search.problems), frozenset(search.excluded))


@dataclass(slots=True)
class _Search:
    """One discovery; collects the problems, and the exclusions in effect."""

    session: Session
    roots: Roots
    settings: SensorSettings
    problems: list[Problem] = field(default_factory=list)
    excluded: set[str] = field(default_factory=set)

    def selected(self, gpus: Sequence[GpuInfo]) -> list[GpuInfo]:
        """Return the GPUs that are not excluded as a whole."""
        selected = []
        for gpu in gpus:
            entries = self.settings.exclusions(probe_name(gpu), gpu.device.id)
            self.excluded |= entries
            if not entries:
                selected.append(gpu)
        return selected

    def probes_of(self, gpu: GpuInfo, publisher: str) -> list[QueryProbe]:
        """Return the probes of a GPU, none if one fails its first read or all of its sensors are excluded."""
        module = _module_of(gpu, publisher, self.roots)
        stand_in = Channel(gpu.device, "board", "utilization_ratio", contained_in=module)
        queries: tuple[SensorQuery, ...] = ()
        probes: list[QueryProbe] = []
        try:
            queries = find_queries(gpu, publisher, module)
            if _TEGRA.search(gpu.device.name) and not _has_utilization(queries):
                queries += tuple(load_query(gpu.device, self.roots))
            if not queries:
                raise _refusal(gpu.gpu)
            for probe in self._probes(gpu, self._selected_queries(gpu, queries)):
                probes.append(probe)
                if isinstance(probe, NvmlProbe):  # two samples so soon after one another would be wrong
                    probe.read(0)
                    probe.rejections.clear()
        except (ReadError, DeviceLostError) as error:
            for probe in probes:
                probe.close()
            for query in queries:
                query.close()
            self.problems.append(_problem(probe_name(gpu), error, stand_in))
            return []
        if probes and not any(sensor.channel.metric in ENERGY_METRICS for each in queries for sensor in each.sensors):
            self.problems.append(_no_power_problem(gpu, stand_in))
        return probes

    def _probes(self, gpu: GpuInfo, queries: Sequence[SensorQuery]) -> Iterator[QueryProbe]:
        """Yield the probe of the queries that are made often, and the one of the others."""
        often = tuple(query for query in queries if not query.seldom)
        seldom = tuple(query for query in queries if query.seldom)
        status = _runtime_status(gpu, self.roots)
        if often:
            yield NvmlProbe(self.session.another(), gpu, often, status)
        if seldom:
            yield ActivityProbe(self.session.another(), gpu, seldom, status)

    def _selected_queries(self, gpu: GpuInfo, queries: Sequence[SensorQuery]) -> tuple[SensorQuery, ...]:
        """Return the queries without the excluded sensors."""
        selected = []
        for query in queries:
            sensors, entries = self.settings.select(probe_name(gpu), query.sensors, attrgetter("channel"))
            self.excluded |= entries
            if len(sensors) == len(query.sensors):
                selected.append(query)
            elif sensors:
                positions = [query.sensors.index(sensor) for sensor in sensors]
                ask = partial(_answers_at, query.ask, positions)
                selected.append(replace(query, sensors=tuple(sensors), ask=ask))
            else:
                query.close()
        return tuple(selected)


def _has_utilization(queries: Sequence[SensorQuery]) -> bool:
    return any(sensor.channel.key[1:3] == ("board", "utilization_ratio") for each in queries for sensor in each.sensors)


def _answers_at(ask: Callable[[], Sequence[float | None]], positions: Sequence[int]) -> list[float | None]:
    """Return some of the answers to a query."""
    answers = ask()
    return [answers[position] for position in positions]


def _identify_gpus(session: Session, problems: list[Problem]) -> list[GpuInfo]:
    try:
        count = session.gpu_count()
    except (ReadError, DeviceLostError) as error:
        raise ProbeUnavailableError(
            f"the NVIDIA driver lists no GPUs: {error}", "see the output of nvidia-smi"
        ) from error
    if not count:
        raise ProbeUnavailableError("the NVIDIA driver is loaded and lists no GPU")
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
    """Return the identity of a GPU. Raises ReadError if it does not report its UUID."""
    uuid = gpu.text("nvmlDeviceGetUUID")
    if not uuid:
        raise ReadError("it does not report its UUID")
    place, mig = gpu.pci_place(), gpu.mig_enabled()
    serial, board = gpu.text("nvmlDeviceGetSerial"), gpu.text("nvmlDeviceGetBoardId")
    if not serial.strip("0"):
        serial = ""  # never written into the GPU, so it identifies no board
    attributes = (
        ("driver", "nvidia"),
        ("pci_address", place.address if place else ""),
        ("serial", serial),
        ("driver_version", driver),
        ("board_id", f"{int(board):#x}" if board else ""),
        ("module_id", gpu.module_id()),
        ("mig", "" if mig is None else "enabled" if mig else "disabled"),
        *(attribution(gpu) if mig else ()),
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


def _module_of(one: GpuInfo, publisher: str, roots: Roots) -> tuple[tuple[str, str], ...]:
    """Return the module that a GPU shares with a processor as the (device, domain) of its meter, () for a card.

    The module has the number of the processor's socket. If that is unknown, the GPU belongs to some module, unless it
    already has a publisher of module power.
    """
    if not _SOLDERED.search(one.device.name):
        return ()
    sysfs = Path(roots.sysfs)
    nearest = read_text(sysfs / "bus/pci/devices" / one.place.address / "local_cpulist") if one.place else None
    first = re.match(r"\d+", nearest or "")
    package = read_int(sysfs / f"devices/system/cpu/cpu{first[0]}/topology/physical_package_id") if first else None
    if package is not None:
        return ((f"module-{package}", "module"),)
    return () if publisher else (("module", "module"),)


def _refusal(gpu: Gpu) -> ReadError | DeviceLostError:
    """Return the error with which a GPU refuses its power, else the most general one."""
    try:
        gpu.number("nvmlDeviceGetPowerUsage")
    except (ReadError, DeviceLostError) as error:
        return error
    return AbsentError("none of its sensors can be read")


def _no_power_problem(one: GpuInfo, stand_in: Channel) -> Problem:
    """Return the problem of a GPU whose driver shows some sensors, but neither power nor energy."""
    error = _refusal(one.gpu)
    return replace(_problem(probe_name(one), error, stand_in), is_unreadable=not isinstance(error, AbsentError))


def _runtime_status(one: GpuInfo, roots: Roots) -> Path | None:
    """Return the file with the kernel's suspend state of the GPU, None if there is none."""
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
        remedy = "see the output of nvidia-smi for this GPU, and the kernel log"
    return Problem(sensor, str(error), remedy, device=device)
