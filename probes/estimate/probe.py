"""Estimates the power of processors without a sensor, from a model of published server power; it measures nothing.

Watts of a package = its threads x (min + utilization x (max - min)), with min and max per microarchitecture from
`estimate.table`: Cloud Carbon Footprint's formula for compute. docs/estimates.md states its accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.cpu.model import CpuModel, parse_cpuinfo
from probes.cpu.utilization import TICK_SECONDS, Package, Utilization
from probes.errors import ProbeUnavailableError, ReadError
from probes.estimate.table import SOURCE, SOURCE_DATE, WattsRow, row_of
from probes.model import Channel, Device, DiscoveryResult, Kind, Rejection, Roots, Source
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL_HALF_WIDTH = 0.4
"""The relative error of the source: it measures whole servers at the wall, under one Java workload.

A socket's share of the wall watts at full load is 0.8 to 1.35 times its thermal design power over 21 processors of the
source; near idle the rest of the server is an even larger part.
"""
GUEST_HALF_WIDTH = 0.3
"""The relative error in a guest: the host's size and load are unknown, and a processor may be a core or a thread."""


@dataclass(frozen=True, slots=True)
class Model:
    """The power model of this host's packages: one row of the table, and whether this is a virtual machine."""

    row: WattsRow
    virtual: bool

    @property
    def uncertainty(self) -> float:
        """The relative half-width: the spread of the row and the errors of the source, added as independent errors."""
        return math.hypot(self.row.spread, MODEL_HALF_WIDTH, GUEST_HALF_WIDTH if self.virtual else 0.0)

    def threads(self, package: Package) -> int:
        """Return the number of hardware threads to count for a package.

        On bare metal with disabled second threads, each core still draws the power of two: cores count as in the
        servers of the table. The processors of a guest are threads, even if its topology shows cores.
        """
        if self.virtual or len(package.cpus) > len(package.cores):
            return len(package.cpus)
        return len(package.cores) * self.row.threads_per_core

    def watts(self, package: Package, utilization: float) -> float:
        """Return the watts of a package at this utilization (0 to 1; NaN gives NaN)."""
        row = self.row
        return self.threads(package) * (row.min_watts + utilization * (row.max_watts - row.min_watts))


class EstimateProbe:
    """Modelled joules and watts of packages; follows processors that go online or offline.

    `watts` are the power channels by package number. The watts of a read are the mean since the previous read, so the
    joules are their exact sum over time.
    """

    name = "estimate"
    files_only = True

    def __init__(self, model: Model, utilization: Utilization, watts: Mapping[int, Channel]) -> None:
        joules = (replace(channel, metric="energy_joules") for channel in watts.values())
        self.channels = (*joules, *watts.values())
        self.rejections: list[Rejection] = []
        self._model = model
        self._utilization = utilization
        self._numbers = tuple(watts)
        self._joules = [0.0] * len(self._numbers)
        self._last_ns = -1

    def read(self, at_ns: int) -> list[float]:
        """Return joules since the first read per package, then watts per package.

        A package without an online processor is NaN; the first read has no watts and 0 joules. Raises ReadError.
        """
        shares = self._utilization.advance().packages
        packages = {package.number: package for package in self._utilization.packages}
        watts = [
            self._model.watts(packages[number], shares[number]) if number in packages else math.nan
            for number in self._numbers
        ]
        first, seconds = self._last_ns < 0, (at_ns - self._last_ns) / 1e9
        self._last_ns = at_ns
        if first:
            return [*self._joules, *watts]
        joules = []
        for position, value in enumerate(watts):
            if not math.isnan(value):
                self._joules[position] += value * seconds
            joules.append(math.nan if math.isnan(value) else self._joules[position])
        return [*joules, *watts]

    def close(self) -> None:
        """Close the file."""
        self._utilization.close()


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Set up the model of this host's packages. Raises ProbeUnavailableError if /proc/stat cannot be read."""
    try:
        utilization = Utilization(roots)
    except (OSError, ReadError) as error:
        reason = f"no estimate without the processors' utilization: {error}"
        raise ProbeUnavailableError(reason, "mount proc, or set its path") from error
    cpu = parse_cpuinfo(read_text(Path(roots.procfs) / "cpuinfo") or "")
    model = Model(row_of(cpu.microarchitecture), cpu.virtual)
    channels = [(package.number, describe(package, cpu, model)) for package in utilization.packages]
    watts, excluded = settings.select(EstimateProbe.name, channels, itemgetter(1))
    if watts:
        return DiscoveryResult((EstimateProbe(model, utilization, dict(watts)),), excluded=excluded)
    utilization.close()
    return DiscoveryResult(excluded=excluded)


def describe(package: Package, cpu: CpuModel, model: Model) -> Channel:
    """Return the power channel of a package; the attributes of its device state the basis of the estimate."""
    row, threads = model.row, model.threads(package)
    attributes = (
        ("microarchitecture", cpu.microarchitecture or "unknown"),
        ("virtual", "yes" if model.virtual else "no"),
        ("estimate_row", row.name),
        ("estimate_source", f"{SOURCE}, {SOURCE_DATE}, {row.results} results"),
        ("estimate_covers", "a server's share at the wall, without accelerators"),
        ("estimate_threads", str(threads)),
        ("estimate_min_watts", f"{threads * row.min_watts:.1f}"),
        ("estimate_max_watts", f"{threads * row.max_watts:.1f}"),
    )
    return Channel(
        Device(f"package-{package.number}", Kind.CPU, cpu.brand or cpu.microarchitecture, attributes),
        "package",
        "power_watts",
        Source.ESTIMATED,
        method="model",
        refresh_seconds=TICK_SECONDS,
        uncertainty=round(model.uncertainty, 2),
    )
