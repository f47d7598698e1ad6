"""Chooses the series of /metrics, so that their number is bounded on every host; /metrics/all has every series."""

from __future__ import annotations

from collections import Counter
from copy import copy
from enum import IntEnum
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from agent.energy.containment import ACCELERATORS
from probes.model import ENERGY_METRICS, Kind, Reason, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from agent.api.series import ExportedProbe
    from probes.model import Channel, Device

    SeriesKey = tuple[str, str, str, str]
    """The name of the family, then the probe or the device, the domain and the source; empty where it has no label."""

PREFIX = "inferometer_"
HOST_SERIES = 100
"""The most series of a host without its accelerators and its inference servers."""
ACCELERATOR_SERIES = 12
"""The most series that one accelerator adds."""
SENSOR_ORDER = (
    "energy_joules",
    "power_watts",
    "utilization_ratio",
    "memory_used_bytes",
    "temperature_celsius",
    "power_limit_watts",
    "throttled_seconds",
    "frequency_hertz",
    "memory_total_bytes",
    "throttle_reasons",
    "link_bytes",
    "cores",
    "idle_seconds",
)
"""The metrics of sensors, the most important first."""
PROBE_ORDER = (
    "probe_up",
    "probe_sample_timestamp_seconds",
    "probe_read_errors",
    "probe_reads_missed",
    "probe_reads_throttled",
    "probe_read_seconds",
    "probe_reads_late",
    "probe_last_success_timestamp_seconds",
)
"""The metrics of a probe, the most important first."""
_WHOLE = ("board", "card", "package", "core")
"""The domains that stand for a whole device, the best first; any other follows in the order of discovery."""
_COUNTED, _UNCOVERED = 10, 8
"""The most counted channels outside of accelerators, and the most parts without a sensor, that are listed."""
_RESERVED = {
    "the process": 6,
    "the build, dropped samples, lost seconds, the series left out": 4,
    "the store": 3,
    "rejected samples, by reason": len(Reason),
    "the host's totals and the modeled wall": 6,
    "counted channels": _COUNTED,
    "parts without a sensor": _UNCOVERED,
}
"""The series of a host that depend on no sensor."""
_RESERVED_ACCELERATOR = 1
"""The series of an accelerator that lists it among the counted channels."""
_STATES = 3
"""The first metrics of `PROBE_ORDER` rank before the sensors of parts, the others last."""


class _Group(IntEnum):
    """The groups of series in the order in which they are chosen; a minor device is a chip on a board."""

    ENERGY = 0
    MAIN = 1
    MINOR_DEVICE = 2
    MINOR_SENSOR = 3
    STATE = 4
    PART = 5
    DETAIL = 6


class SeriesLimit:
    """The series of a host that /metrics leaves out: `left_out`, by their keys. They depend on the sensors alone."""

    def __init__(self, probes: Sequence[ExportedProbe], devices: Iterable[Device]) -> None:
        ranked: dict[str, dict[SeriesKey, tuple[int, ...]]] = {}
        for owner, rank, key in _candidates(probes, devices):
            known = ranked.setdefault(owner, {})
            known[key] = min(rank, known.get(key, rank))
        self._accelerators = frozenset(ranked) - {""}
        left_out: set[SeriesKey] = set()
        for owner, keys in ranked.items():
            most = ACCELERATOR_SERIES - _RESERVED_ACCELERATOR if owner else HOST_SERIES - sum(_RESERVED.values())
            left_out.update(sorted(keys, key=keys.__getitem__)[most:])
        self.left_out = frozenset(left_out)

    def has(self, channel: Channel) -> bool:
        """Return whether the series of a channel is chosen."""
        return _sensor_key(channel) not in self.left_out

    def applied(self, families: Iterable[Family]) -> Iterator[Family]:
        """Yield each family with its chosen samples."""
        for family in families:
            samples = self._chosen(family)
            if samples:
                limited = copy(family)
                limited.samples = samples
                yield limited

    def _chosen(self, family: Family) -> list[Sample]:
        match family.name.removeprefix(PREFIX):
            case "samples_rejected":
                return _added(family.samples, ("reason",))
            case "energy_lost_seconds":
                return _added(family.samples, ())
            case "host_uncovered":
                return family.samples[:_UNCOVERED]
            case "host_channel":
                return list(self._listed(family.samples))
        return [sample for sample in family.samples if _key(family.name, sample.labels) not in self.left_out]

    def _listed(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Yield the first counted channel of each accelerator, and the first ones of the rest of the host."""
        listed: Counter[str] = Counter()
        for sample in samples:
            owner = sample.labels["device"] if sample.labels["device"] in self._accelerators else ""
            listed[owner] += 1
            if listed[owner] <= (_RESERVED_ACCELERATOR if owner else _COUNTED):
                yield sample


class LimitedCollector(Collector):
    """Collects what another collector does, without the series that a limit leaves out."""

    def __init__(self, collector: Collector, limit: SeriesLimit) -> None:
        self._collector = collector
        self._limit = limit

    def collect(self) -> Iterable[Family]:
        """Return the metric families that have a chosen sample."""
        return self._limit.applied(self._collector.collect())


def _candidates(
    probes: Sequence[ExportedProbe], devices: Iterable[Device]
) -> Iterator[tuple[str, tuple[int, ...], SeriesKey]]:
    """Yield each series with the accelerator that it counts for, empty for the host, and its rank."""
    for position, device in enumerate(devices):
        group = _Group.MINOR_DEVICE if _is_minor(device) else _Group.MAIN
        yield _owner(device), (group, -1, position), (f"{PREFIX}device", device.id, "", "")
    shown: list[Channel] = []
    for number, probe in enumerate(probes):
        shown += [probe.layout.channels[line.position] for line in probe.lines]
        devices_read = {channel.device for channel in probe.layout.channels}  # all may be shown by another probe
        owners = set(map(_owner, devices_read))
        owner = owners.pop() if len(owners) == 1 else ""
        up = _Group.MINOR_DEVICE if all(map(_is_minor, devices_read)) else _Group.MAIN
        for position, name in enumerate(PROBE_ORDER):
            group = up if not position else _Group.STATE if position < _STATES else _Group.DETAIL
            yield owner, (group, -1 if group is up else position, number), (PREFIX + name, probe.state.probe, "", "")
    yield from _sensors(shown)


def _sensors(channels: Iterable[Channel]) -> Iterator[tuple[str, tuple[int, ...], SeriesKey]]:
    """Yield the series of sensors: of each metric of a device first the one that stands for the whole device."""
    numbers: Counter[tuple[str, str]] = Counter()
    for position, channel in enumerate(sorted(channels, key=_preference)):
        number = numbers[channel.device.id, channel.metric]
        numbers[channel.device.id, channel.metric] += 1
        rank = (_group(channel, number), number, SENSOR_ORDER.index(channel.metric), position)
        yield _owner(channel.device), rank, _sensor_key(channel)
        if channel.uncertainty and channel.metric in ENERGY_METRICS:
            key = (f"{PREFIX}power_uncertainty_ratio", channel.device.id, channel.domain, channel.source.value)
            yield _owner(channel.device), rank, key


def _group(channel: Channel, number: int) -> _Group:
    """Return the group of a channel that is the `number`th of its metric and device, counted from 0."""
    is_energy = channel.metric in ENERGY_METRICS
    if number == 0:
        return _Group.ENERGY if is_energy else _Group.MINOR_SENSOR if _is_minor(channel.device) else _Group.MAIN
    if is_energy and not _owner(channel.device):
        return _Group.STATE if channel.contained_in or _is_minor(channel.device) else _Group.MAIN
    return _Group.PART


def _is_minor(device: Device) -> bool:
    return device.kind is Kind.BOARD


def _preference(channel: Channel) -> tuple[bool, int]:
    whole = _WHOLE.index(channel.domain) if channel.domain in _WHOLE else len(_WHOLE)
    return channel.source is not Source.MEASURED, whole


def _sensor_key(channel: Channel) -> SeriesKey:
    return (PREFIX + channel.metric, channel.device.id, channel.domain, channel.source.value)


def _owner(device: Device) -> str:
    return device.id if device.kind in ACCELERATORS else ""


def _key(family: str, labels: Mapping[str, str]) -> SeriesKey:
    name = labels.get("probe", labels.get("device", ""))
    return (family, name, labels.get("domain", ""), labels.get("source", ""))


def _added(samples: Iterable[Sample], labels: Sequence[str]) -> list[Sample]:
    """Return the sums of samples by these labels alone."""
    sums: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        values = tuple(sample.labels[label] for label in labels)
        before = sums[values].value if values in sums else 0.0
        sums[values] = Sample(sample.name, dict(zip(labels, values, strict=True)), before + sample.value)
    return list(sums.values())
