"""Finds the NPUs of AMD's processors, and reads those that are awake.

The power of an NPU is the same quantity in hwmon (chip `amdxdna`), in the driver's query, and in the field
`average_ipu_power` of the GPU's table gpu_metrics 3.0. The first of these that exists is read, the third never.
"""

from __future__ import annotations

import errno
import fcntl
import math
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.deadline import NoAnswerError, within
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Reason, Rejection, Roots
from probes.pci import PciDevice, nearest_package, pci_devices
from probes.plausibility import check_gauge
from probes.remedies import cause_of, remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import RuntimeStatus, errno_of, no_answer, read_int, read_label
from probes.xdna.driver import NpuReading, query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from probes.xdna.driver import Ioctl

_VENDOR = 0x1022
_DRIVER = "amdxdna"
NPU_SECONDS = 2.0
"""An NPU that does not answer within this time becomes a problem."""
DEFAULT_AUTOSUSPEND_MS = 5000
_MARGIN_MS = 1000
_FIELDS = {"power_watts": attrgetter("watts"), "utilization_ratio": attrgetter("utilization")}


class XdnaProbe:
    """The sensors of one NPU.

    A query restarts the kernel's timer after which an idle NPU sleeps. After a query that found it idle, the next one
    follows only when that timer has expired, unless the NPU is asleep then; `taken_ns` is None meanwhile.
    """

    files_only = False

    def __init__(self, pci: PciDevice, dev: Path, channels: Sequence[Channel], ioctl: Ioctl) -> None:
        self.name = _name(pci)
        self.channels = tuple(channels)
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self._fields: tuple[Callable[[NpuReading], float | None], ...] = tuple(
            _FIELDS[channel.metric] for channel in channels
        )
        self._status = RuntimeStatus(pci.runtime_status)
        delay_ms = read_int(pci.folder / "power/autosuspend_delay_ms")
        self._rest_ns = ((DEFAULT_AUTOSUSPEND_MS if delay_ms is None else max(delay_ms, 0)) + _MARGIN_MS) * 1_000_000
        self._resumes_ns = 0
        self._pci, self._dev, self._ioctl = pci, dev, ioctl

    def read(self, at_ns: int) -> list[float]:
        """Return watts and the busy share; all NaN while the NPU sleeps, because a query would wake it.

        Raises ReadError, and DeviceLostError if the NPU was removed.
        """
        nothing = [math.nan] * len(self.channels)
        self.taken_ns = (at_ns, at_ns)
        if self._status.is_suspended():
            self._resumes_ns = 0
            return nothing
        if at_ns < self._resumes_ns:
            self.taken_ns = None
            return nothing
        node = node_of(self._pci, self._dev)
        if node is None:
            raise DeviceLostError(f"{self.name}: the NPU was removed")
        reading = query(node, self._ioctl)
        self._resumes_ns = at_ns + self._rest_ns if reading.utilization == 0 else 0
        return [self._checked(position, field(reading)) for position, field in enumerate(self._fields)]

    def close(self) -> None:
        """Close the file of the suspend state; safe to call twice."""
        self._status.close()

    def _checked(self, position: int, found: float | None) -> float:
        value = Reason.SENTINEL if found is None else check_gauge(self.channels[position], found)
        if isinstance(value, Reason):
            self.rejections.append(Rejection(position, value))
            return math.nan
        return value


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS, ioctl: Ioctl = fcntl.ioctl) -> DiscoveryResult:
    """Find the NPUs of the driver amdxdna; one that is awake is queried once.

    Raises ProbeUnavailableError if there is none.
    """
    sysfs, dev = Path(roots.sysfs), Path(roots.dev)
    listed = [pci for pci in pci_devices(sysfs, _VENDOR) if pci.driver == _DRIVER]
    if not listed:
        raise ProbeUnavailableError(f"no PCI device below {sysfs}/bus/pci/devices has the driver {_DRIVER}")
    probes: list[XdnaProbe] = []
    problems: list[Problem] = []
    excluded: frozenset[str] = frozenset()
    for pci in listed:
        entries = settings.exclusions(_name(pci), pci.address)
        excluded |= entries
        if entries:
            continue
        try:
            present = within(NPU_SECONDS, partial(_present, sysfs, pci, dev, settings, ioctl), f"open-{pci.address}")
        except (ReadError, NoAnswerError) as error:
            problems += _problem(pci, error)
            continue
        channels, entries = settings.select(_name(pci), present, lambda channel: channel)
        excluded |= entries
        probes += [XdnaProbe(pci, dev, channels, ioctl)] if channels else []
    return DiscoveryResult(tuple(probes), tuple(problems), excluded)


def node_of(pci: PciDevice, dev: Path) -> Path | None:
    """Return the device node of an NPU, None if it has none. Its number can change with every boot."""
    names = sorted(path.name for path in (pci.folder / "accel").glob("accel[0-9]*"))
    return dev / "accel" / names[0] if names else None


def _name(pci: PciDevice) -> str:
    return f"xdna/{pci.address}"


def _present(sysfs: Path, pci: PciDevice, dev: Path, settings: SensorSettings, ioctl: Ioctl) -> list[Channel]:
    """Return the channels of an NPU: those with a value now, or all that it may have while it sleeps.

    Raises ReadError if it does not answer.
    """
    attributes = (("driver", pci.driver), ("pci_address", pci.address))
    has_chip = any(read_label(at / "name") == _DRIVER for at in pci.folder.glob("hwmon/hwmon*"))
    device = Device(pci.address, Kind.NPU, _DRIVER, (*attributes, *((("chip", _DRIVER),) if has_chip else ())))
    package = (f"package-{nearest_package(sysfs, pci.folder) or 0}", "package")
    channels = [Channel(device, "npu", "utilization_ratio", method="average", resolution=0.01)]
    if not has_chip or settings.excludes(f"hwmon/{pci.address}"):
        channels.append(
            Channel(device, "npu", "power_watts", method="average", resolution=0.001, contained_in=(package,))
        )
    if pci.is_suspended:
        return channels
    node = node_of(pci, dev)
    if node is None:
        raise ReadError(f"{pci.folder}/accel: the driver has no device node")
    reading = query(node, ioctl)
    return [channel for channel in channels if _FIELDS[channel.metric](reading) is not None]


def _problem(pci: PciDevice, error: ReadError | NoAnswerError) -> list[Problem]:
    if isinstance(error, NoAnswerError):
        return [Problem(_name(pci), f"it did not answer within {NPU_SECONDS:g} s", remedy_for(no_answer()))]
    if errno_of(error) in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY}:
        remedy = "update the kernel (7.0 and later) with CONFIG_AMD_PMF; a Phoenix or Hawk Point NPU has no sensors"
        return [Problem(_name(pci), "its driver has no sensors", remedy, is_unreadable=False)]
    remedy = (
        "let this user open it for reading (group render)" if errno_of(error) == errno.EACCES else remedy_for(error)
    )
    return [Problem(_name(pci), cause_of(error, pci.folder), remedy)]
