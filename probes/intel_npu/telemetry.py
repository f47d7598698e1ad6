"""Reads the energy and the temperature of an Intel NPU from the telemetry of its processor (Intel PMT).

Interface: the kernel's ABI document of intel_pmt, and Intel's descriptions of each telemetry region, which its `guid`
identifies (the repository Intel-PMT). The processor's firmware estimates the energy from the utilization of the NPU.
"""

from __future__ import annotations

import errno
import math
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.deadline import NoAnswerError, within
from probes.errors import DeviceLostError, ReadError
from probes.model import Channel, DiscoveryResult, Kind, Problem, Reason, Rejection
from probes.plausibility import check_gauge
from probes.remedies import cause_of, is_denied, remedy_for
from probes.sysfs import ANSWER_SECONDS, no_answer, read_int

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from probes.driver_devices import DriverDevice
    from probes.settings import SensorSettings

REMEDY = "run as root, or let a group read it: sudo chgrp inferometer {file} && sudo chmod 440 {file}"
COUNTS_PER_JOULE = 1 << 14
"""The counter is a fixed-point number of 32 bits, 18 for whole joules; the bits above it belong to something else."""
MODULUS = 1 << 32
HIGHEST_WATTS = 100.0
"""Several times the power of any of these NPUs, which share a package with processors and graphics."""
_NO_CELSIUS = frozenset({0, 0xFF})
_MISSING = "its energy is not read: no telemetry region below {0} has the guid of a known processor"
_MODULE = "load the module pmt_telemetry (kernel option CONFIG_INTEL_PMT_TELEMETRY); Wildcat Lake has no known layout"


@dataclass(frozen=True, slots=True)
class Layout:
    """The byte offsets of the energy and of the temperatures in a telemetry region."""

    energy: int
    temperatures: int


_METEOR_LAKE, _LUNAR_LAKE, _PANTHER_LAKE = Layout(0x628, 0x98), Layout(0x5D0, 0x70), Layout(0x670, 0x78)
LAYOUTS: Mapping[int, Layout] = {
    0x130670B2: _METEOR_LAKE,
    **dict.fromkeys((0x1306A0B2, 0x1306A0B3, 0x1306A0B4), _METEOR_LAKE),  # Arrow Lake H, U and S
    0x03072005: _LUNAR_LAKE,
    0x03086000: _PANTHER_LAKE,
}
"""The layouts by guid. Intel's sources disagree by a factor of 100 on the energy of Wildcat Lake, which is left out."""


def energy_counts(field: bytes) -> int | None:
    """Return the energy counter in a field of the region, None if the field is cut short."""
    return int.from_bytes(field[:4], "little") if len(field) >= 4 else None  # noqa: PLR2004 - bytes of 32 bits


def celsius(field: bytes) -> float | None:
    """Return the temperature of the NPU (bits 40 to 47), None if the field is cut short or holds none."""
    degrees = field[5] if len(field) > 5 else 0  # noqa: PLR2004 - the byte of bit 40
    return None if degrees in _NO_CELSIUS else float(degrees)


class TelemetryProbe:
    """Energy and temperature of an NPU; the file of the region stays open. Raises OSError on construction."""

    files_only = True

    def __init__(
        self,
        name: str,
        path: Path,
        layout: Layout,
        channels: Sequence[Channel],
        pread: Callable[[int, int, int], bytes] = os.pread,
    ) -> None:
        self.name = name
        self.channels = tuple(channels)
        self.rejections: list[Rejection] = []
        self._path, self._layout, self._pread = path, layout, pread
        self._counter = Counter(MODULUS, HIGHEST_WATTS * COUNTS_PER_JOULE)
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, at_ns: int) -> list[float]:
        """Return joules and degrees Celsius. Raises ReadError, or DeviceLostError if the region was removed."""
        return [self._checked(position, channel, at_ns) for position, channel in enumerate(self.channels)]

    def prove(self) -> None:
        """Read the region once, without counting. Raises ReadError or DeviceLostError."""
        if energy_counts(self._field(self._layout.energy)) is None:
            raise ReadError(f"{self._path}: the region ends before its energy")

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _checked(self, position: int, channel: Channel, at_ns: int) -> float:
        value = self._energy(at_ns) if channel.metric == "energy_joules" else self._temperature(channel)
        if isinstance(value, Reason):
            self.rejections.append(Rejection(position, value))
            return math.nan
        return value

    def _energy(self, at_ns: int) -> float | Reason:
        counts = energy_counts(self._field(self._layout.energy))
        if counts is None:
            return Reason.READ_ERROR
        return self._counter.advance(counts, at_ns) or self._counter.total / COUNTS_PER_JOULE

    def _temperature(self, channel: Channel) -> float | Reason:
        degrees = celsius(self._field(self._layout.temperatures))
        return Reason.SENTINEL if degrees is None else check_gauge(channel, degrees)

    def _field(self, offset: int) -> bytes:
        try:
            return self._pread(self._fd, 8, offset)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise DeviceLostError(f"{self._path}: the telemetry was removed") from error
            raise ReadError(f"{self._path}: {error.strerror or error}") from error


def find_telemetry(sysfs: Path, npu: DriverDevice, settings: SensorSettings) -> DiscoveryResult:
    """Return the probe of the telemetry region of the processor, tested with one read, or its problem."""
    name = f"intel_npu/{npu.pci.address}-telemetry"
    if entries := settings.exclusions(name, npu.pci.address):
        return DiscoveryResult(excluded=entries)
    regions = sorted((sysfs / "class/intel_pmt").glob("telem[0-9]*"))
    guids = {region: read_int(region / "guid") or 0 for region in regions}
    known = next((region for region in regions if guids[region] in LAYOUTS), None)
    if known is None:
        reason = _MISSING.format(sysfs / "class/intel_pmt")
        return DiscoveryResult((), (Problem(name, reason, _MODULE, is_unreadable=False),))
    kept, excluded = settings.select(name, _channels(sysfs, npu), lambda channel: channel)
    if not kept:
        return DiscoveryResult(excluded=excluded)
    path = known / "telem"
    try:
        proved = partial(_proved, name, path, LAYOUTS[guids[known]], kept)
        probe = within(ANSWER_SECONDS, proved, f"open-{path}", TelemetryProbe.close)
    except NoAnswerError:
        return DiscoveryResult((), (_problem(name, path, no_answer()),), excluded)
    except (OSError, ReadError, DeviceLostError) as error:
        return DiscoveryResult((), (_problem(name, path, error),), excluded)
    return DiscoveryResult((probe,), (), excluded)


def _proved(name: str, path: Path, layout: Layout, channels: Sequence[Channel]) -> TelemetryProbe:
    probe = TelemetryProbe(name, path, layout, channels)
    try:
        probe.prove()
    except (ReadError, DeviceLostError):
        probe.close()
        raise
    return probe


def _problem(name: str, path: Path, error: Exception) -> Problem:
    remedy = REMEDY.format(file=path) if is_denied(error) else remedy_for(error)
    return Problem(f"{name} ({path})", cause_of(error, path), remedy)


def _channels(sysfs: Path, npu: DriverDevice) -> tuple[Channel, Channel]:
    device, within = npu.as_device(Kind.NPU), (npu.package(sysfs),)
    energy = Channel(
        device,
        "npu",
        "energy_joules",
        method="firmware model",
        resolution=1 / COUNTS_PER_JOULE,
        contained_in=within,
        max_plausible=HIGHEST_WATTS,
        wraps_at=MODULUS / COUNTS_PER_JOULE,
    )
    return energy, Channel(device, "npu", "temperature_celsius", resolution=1.0, contained_in=within)
