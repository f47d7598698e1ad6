"""The records of queries over many hosts: the extent of a fleet, groups of costs and energies, and series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class FleetSpan(NamedTuple):
    """The hosts and points of a fleet with their first and last day; `without_energy` are hosts that measure none.

    `anonymous` are the anonymous profiles, which count as one host.
    """

    hosts: int
    points: int
    first: str
    last: str
    without_energy: int
    anonymous: int


class LeftOut(NamedTuple):
    """Series that may have changed and were not read: their number, the host of most of them, and its number."""

    series: int
    host: str
    of_host: int


NOTHING_LEFT_OUT = LeftOut(0, "", 0)


class HostMean(NamedTuple):
    """The mean of the means of `hosts` that have a figure, with its sample variance; None for one host.

    `lower` and `upper` are the means of the bounds of the profiles, in the same way; None if a profile has no bound.
    """

    hosts: int
    mean: float
    variance: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class CostGroup:
    """The machines that did one work, with the same values of the chosen dimensions.

    `cost` is that of a million units, such as output tokens, `joules` the energy of one; each is over the means of the
    hosts. None: unknown.
    """

    work: int
    workload: str
    model: str
    precision: str
    point: str
    unit: str
    values: tuple[str, ...]
    boundary: str
    energy_source: str
    currency: str
    cost_basis: str
    hosts: int
    profiles: int
    cost: HostMean | None
    joules: HostMean | None


@dataclass(frozen=True, slots=True)
class Machine:
    """One host as a result names it, and its work: the newest values of one of its points."""

    host_id: str
    host: str
    hardware: str
    site: str
    rack: str
    work: int
    workload: str
    model: str
    precision: str
    engine: str
    engine_version: str
    point: str


@dataclass(frozen=True, slots=True)
class HostEnergy:
    """The energies of one host in one setup; hosts with the same setup are siblings.

    Energies are natural logarithms of joules per unit, such as an output token. `mean` and `variance` are those of the
    `days` of the host, each of which is the mean of its profiles.
    """

    setup: int
    host_id: str
    days: int
    mean: float
    variance: float


@dataclass(frozen=True, slots=True)
class EnergySeries:
    """The energies of one host in one setup, a value for each day, as logarithms like those of `HostEnergy`.

    `times_ns` are those of the first profiles of the days, `versions` those of Inferometer in the last ones.
    """

    machine: Machine
    times_ns: tuple[int, ...]
    logs: tuple[float, ...]
    versions: tuple[str, ...]
