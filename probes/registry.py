"""Discovers every probe of the host; a new family is one entry here, or an entry point of another package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING

from probes import other_packages
from probes.deadline import NoAnswerError
from probes.errors import ProbeUnavailableError
from probes.identity import make_unique
from probes.model import ENERGY_METRICS, Channel, DiscoveryResult, Kind, Probe, Problem, Roots, Source
from probes.other_packages import KnownFamily, package_of
from probes.search import DEADLINE_SECONDS, close_all, search
from probes.settings import ALL_SENSORS, SensorSettings
from probes.unread_devices import devices_without_family, unread_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import EntryPoint
    from types import ModuleType

    from probes.family import Family

FAMILIES = (
    "cpu",
    "memory",
    "rapl",
    "perf",
    "resctrl",
    "scmi",
    "hwmon",
    "nvml",
    "amdgpu",
    "plugs",
    "mqtt",
    "redfish",
    "ipmi",
    "snmp",
    "modbus",
    "intel_gpu",
    "intel_npu",
    "xdna",
    "gaudi",
    "tenstorrent",
    "ascend",
    "fpga",
    "neuron",
    "tpu",
    "qaic",
    "furiosa",
    "rebellions",
    "hailo",
    "rockchip",
    "coral",
    "scpi",
    "cray",
)
"""Each is a module of this package with `FAMILY` and `discover(roots, settings) -> DiscoveryResult`."""
ESTIMATE = "estimate"
"""The family that is searched only if no sensor measures the processors."""
_IMPORTING = Lock()
"""Families import one another, and two threads that import them in opposite orders would wait for each other."""
_CONTAINER_KINDS = frozenset({Kind.BOARD, Kind.HOST})
_CPU_CONTAINER_DOMAINS = frozenset(
    {"package", "module", "wall", "feed", "psys", "soc", "cpu", "total", "input", "node"}
)
"""Words of a domain that denote the processors or something that contains them."""
_CPU_PART_DOMAINS = frozenset({"core", "uncore", "dram", "io", "sysio"})


@dataclass(frozen=True, slots=True)
class MissingFamily:
    """A family without any sensor on this host, with the reason and the remedy."""

    family: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """The sensors of the host: working probes, sensors that cannot be read, absent families, exclusions in effect.

    `unread` are stand-ins for devices that no family reads.
    """

    probes: tuple[Probe, ...]
    problems: tuple[Problem, ...]
    missing_families: tuple[MissingFamily, ...]
    excluded: tuple[str, ...] = ()
    unread: tuple[Channel, ...] = ()

    @property
    def stand_ins(self) -> tuple[Channel, ...]:
        """A channel for each device without a readable sensor."""
        return (*(problem.device for problem in self.problems if problem.device), *self.unread)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of every probe, and one that represents each device without a readable sensor."""
        return (*(channel for probe in self.probes for channel in probe.channels), *self.stand_ins)

    def close(self) -> None:
        """Close every probe even if some raise; then raise the error."""
        close_all(self.probes)


def discover(
    roots: Roots, settings: SensorSettings = ALL_SENSORS, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Discovery:
    """Search every family once, in parallel, except the excluded ones; families of other packages too.

    A family that does not answer within `deadline_seconds` becomes a problem; the other families are unaffected.
    """
    others, problems = other_packages.entry_points((*FAMILIES, ESTIMATE))
    search_family = partial(_discover_family, others, roots, settings)
    searched = [family for family in (*FAMILIES, *others) if family not in settings.exclude]
    results = dict(search(searched, search_family, deadline_seconds))
    probes = [probe for result in results.values() if isinstance(result, DiscoveryResult) for probe in result.probes]
    if settings.estimates and ESTIMATE not in settings.exclude and not measures_cpu_power(probes):
        results |= search((ESTIMATE,), search_family, deadline_seconds)
    probes = []
    missing_families: list[MissingFamily] = []
    in_effect = {*FAMILIES, *others, ESTIMATE}
    for family, result in results.items():
        if isinstance(result, DiscoveryResult):
            probes += result.probes
            problems += result.problems
            in_effect |= result.excluded
        elif isinstance(result, ProbeUnavailableError):
            missing_families.append(MissingFamily(family, result.reason, result.remedy))
        else:
            problems.append(_failed(family, others, result, deadline_seconds))
    known = [channel for probe in probes for channel in probe.channels]
    known += [problem.device for problem in problems if problem.device]
    unread = devices_without_family(roots, known)
    problems += [unread_problem(each) for each in unread if not each.contained_in]
    problems += [_unmatched(entry) for entry in settings.exclude if entry not in in_effect]
    excluded = tuple(entry for entry in settings.exclude if entry in in_effect)
    return Discovery(tuple(probes), (*problems, *make_unique(probes)), tuple(missing_families), excluded, unread)


def answering_meters(roots: Roots, settings: SensorSettings) -> tuple[str, ...]:
    """Return the devices of the meters of `settings` that answer now. Nothing stays open."""
    kinds = {meter.kind for meter in settings.meters}
    wanted = [each.name for each in families() if kinds & {*each.meter_kinds} and each.name not in settings.exclude]
    results = search(wanted, partial(_discover_family, {}, roots, settings), DEADLINE_SECONDS).values()
    probes = [probe for result in results if isinstance(result, DiscoveryResult) for probe in result.probes]
    close_all(probes)
    return tuple(dict.fromkeys(channel.device.id for probe in probes for channel in probe.channels))


def families() -> tuple[Family, ...]:
    """Return the description of every family of this package, the estimate last."""
    return tuple(_module(name).FAMILY for name in (*FAMILIES, ESTIMATE))


def known_families() -> tuple[KnownFamily, ...]:
    """Return the description of every family, of this package and of others."""
    others, _ = other_packages.entry_points((*FAMILIES, ESTIMATE))
    own = (KnownFamily(family.name, family) for family in families())
    return (*own, *other_packages.describe(others))


def _discover_family(
    others: Mapping[str, EntryPoint], roots: Roots, settings: SensorSettings, family: str
) -> DiscoveryResult:
    if family in others:
        families()  # without the lock, because an import of another package can hang, but never beside ours
        return other_packages.discover(others[family], roots, settings)
    found: DiscoveryResult = _module(family).discover(roots, settings)
    return found


def _module(family: str) -> ModuleType:
    with _IMPORTING:
        return import_module(f"probes.{family}")


def _unmatched(entry: str) -> Problem:
    reason = "this exclusion matches no family, device or domain of this host, so it has no effect"
    return Problem(entry, reason, "take a name from the output of `inferometer devices`", is_unreadable=False)


def _failed(family: str, others: Mapping[str, EntryPoint], error: Exception, deadline_seconds: float) -> Problem:
    name = f"everything of {family}"
    if isinstance(error, NoAnswerError):
        reason = f"its discovery did not answer within {deadline_seconds:g} s: a driver or a device hangs"
        remedy = "look for it in the kernel log (dmesg); reset the device or reboot the host"
        return Problem(name, reason, remedy)
    if family not in others:
        return Problem(name, f"its discovery failed: {error!r}", "report this fault")
    fault = str(error) if isinstance(error, other_packages.PackageError) else f"its discovery failed: {error!r}"
    return Problem(name, fault, f"report this fault to the authors of the package {package_of(others[family])}")


def measures_cpu_power(probes: Iterable[Probe]) -> bool:
    """Return whether a sensor measures the processors, or a larger part that contains them."""
    return any(
        _covers_processors(channel)
        for probe in probes
        for channel in probe.channels
        if channel.metric in ENERGY_METRICS and channel.source is Source.MEASURED
    )


def _covers_processors(channel: Channel) -> bool:
    kind, words = channel.device.kind, set(re.split("[-_]", channel.domain))
    if kind is Kind.CPU:
        return not words & _CPU_PART_DOMAINS
    if kind in _CONTAINER_KINDS:
        return bool(words & _CPU_CONTAINER_DOMAINS)
    # An APU's sensor covers its socket; a GPU on a module shared with processors states the module.
    shares_module = channel.domain == "module" and bool(channel.contained_in)
    return kind is Kind.PSU or channel.domain == "socket" or shares_module
