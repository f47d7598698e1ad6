"""Finds every probe of the host: one line a family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from probes.errors import ProbeUnavailableError
from probes.model import ENERGETIC, Channel, Found, Kind, Probe, Problem, Roots, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

FAMILIES = ("cpu", "memory", "rapl", "hwmon", "nvml")
"""Each is a module of this package with `discover(roots) -> Found`."""
ESTIMATE = "estimate"
"""The family that is asked only where no sensor measures the processors."""
_HOLDERS = frozenset({Kind.BOARD, Kind.HOST})
_HOLDS_PROCESSORS = frozenset({"package", "module", "wall", "psys", "soc", "cpu", "total", "input", "node"})
"""Words of a domain that speak of the processors or of something around them."""
_PARTS_OF_A_PROCESSOR = frozenset({"core", "uncore", "dram", "io", "sysio"})


@dataclass(frozen=True, slots=True)
class Absence:
    """A family of which nothing is here, and why."""

    family: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the host can be asked: probes that work, sensors that exist but cannot be read, families not here."""

    probes: tuple[Probe, ...]
    problems: tuple[Problem, ...]
    absences: tuple[Absence, ...]

    def close(self) -> None:
        """Close every probe."""
        for probe in self.probes:
            probe.close()


def discover(roots: Roots, *, estimates: bool = True) -> Discovery:
    """Look once at every family. `estimates` allows modelled power where no sensor measures the processors."""
    probes: list[Probe] = []
    problems: list[Problem] = []
    absences: list[Absence] = []
    for family in (*FAMILIES, ESTIMATE):
        if family == ESTIMATE and (not estimates or measures_cpu_power(probes)):
            continue
        try:
            found: Found = import_module(f"probes.{family}").discover(roots)
        except ProbeUnavailableError as error:
            absences.append(Absence(family, error.reason, error.remedy))
            continue
        except Exception as error:  # noqa: BLE001  a fault in one family must not cost the others
            problems.append(Problem(f"everything of {family}", f"its discovery failed: {error!r}", "report this fault"))
            continue
        probes.extend(found.probes)
        problems.extend(found.problems)
    return Discovery(tuple(probes), tuple(problems), tuple(absences))


def measures_cpu_power(probes: Iterable[Probe]) -> bool:
    """Tell whether some sensor covers the processors: their own, or one of a larger part that holds them."""
    return any(
        _covers_processors(channel)
        for probe in probes
        for channel in probe.channels
        if channel.metric in ENERGETIC and channel.source is Source.MEASURED
    )


def _covers_processors(channel: Channel) -> bool:
    kind, words = channel.device.kind, set(re.split("[-_]", channel.domain))
    if kind is Kind.CPU:
        return not words & _PARTS_OF_A_PROCESSOR
    if kind in _HOLDERS:
        return bool(words & _HOLDS_PROCESSORS)
    # An APU's meter is of its socket; a GPU that shares a module with processors says so.
    shares_module = channel.domain == "module" and bool(channel.contained_in)
    return kind is Kind.PSU or channel.domain == "socket" or shares_module
