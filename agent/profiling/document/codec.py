"""The profile as a JSON document; every document is decoded again before it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from agent.energy.parts import parts
from agent.energy.provenance import provenance
from agent.profiling.device_facts import CoverageFacts, DeviceFacts, IncludedSensor, PartFacts, SensorFacts
from agent.profiling.document.impossible import impossible_figures
from agent.profiling.records import Document
from agent.profiling.run_facts import HostFacts
from agent.runtime import typed_json
from probes.model import ENERGY_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.energy.counted_sensors import Coverage
    from probes.model import Channel
    from store.records import Host


def host_facts(host: Host) -> HostFacts:
    """Return the host for the document, with None for every value that the store lacks."""
    return HostFacts(
        id=host.id,
        name=host.name,
        boot_id=host.boot_id or None,
        kernel=host.kernel or None,
        operating_system=host.operating_system or None,
        cpu_model=host.cpu_model or None,
        microarchitecture=host.microarchitecture or None,
        cpu_flags=host.cpu_flags,
        logical_cpus=host.cores or None,
        memory_bytes=host.memory_bytes or None,
        virtual=host.virtual,
        labels=dict(host.labels),
    )


def device_facts(channels: Iterable[Channel], coverage: Coverage) -> tuple[DeviceFacts, ...]:
    """Return the devices behind these channels with their sensors of energy and power."""
    counted = {channel.key for channel in coverage.includes}
    by_device: dict[str, list[Channel]] = {}
    for channel in channels:
        by_device.setdefault(channel.device.id, []).append(channel)
    found = []
    for own in by_device.values():
        device = max((channel.device for channel in own), key=lambda device: (bool(device.name), device.attributes))
        first = {channel.key: channel for channel in reversed(own) if channel.metric in ENERGY_METRICS}
        sensors = tuple(_sensor(channel, in_total=channel.key in counted) for channel in reversed(first.values()))
        found.append(DeviceFacts(device.id, device.kind, device.name or None, dict(device.attributes), sensors))
    return tuple(found)


def counted_sensors(document: Document) -> frozenset[tuple[str, str, str]]:
    """Return device, domain and metric of the sensors in the total of a profile."""
    return frozenset(
        (device.id, sensor.domain, sensor.metric)
        for device in document.devices
        for sensor in device.sensors
        if sensor.in_total
    )


def _sensor(channel: Channel, *, in_total: bool) -> SensorFacts:
    return SensorFacts(
        domain=channel.domain,
        metric=channel.metric,
        source=channel.source,
        method=channel.method,
        refresh_seconds=channel.refresh_seconds or None,
        relative_uncertainty=channel.uncertainty or None,
        in_total=in_total,
    )


def coverage_facts(coverage: Coverage, channels: Iterable[Channel]) -> CoverageFacts:
    """Return the coverage of the total for the document, with the parts of the host behind all of its channels."""
    return CoverageFacts(
        coverage.boundary,
        tuple(IncludedSensor(*channel.place) for channel in coverage.includes),
        coverage.not_covered,
        provenance(coverage.includes) if coverage.includes else None,
        max((channel.uncertainty for channel in coverage.includes), default=0.0) or None,
        tuple(
            PartFacts(each.name, each.kind, each.state, tuple(IncludedSensor(*place) for place in each.sensors))
            for each in parts(coverage, channels)
        ),
    )


def to_json(document: Document) -> str:
    """Return the document as JSON text, keys in the records' order. Raises ValueError if a value has another type."""
    text = typed_json.to_json(document, indent=2)
    typed_json.from_json(text, Document)
    return text


def check(document: dict[str, Any]) -> None:
    """Raise ValueError, naming the place, if a document does not fit the records, or has an impossible figure."""
    try:
        found = msgspec.convert(document, Document)
    except ValueError as error:
        raise ValueError(f"not a profile: {error}") from error
    for place in impossible_figures(found):
        raise ValueError(f"impossible figure: {place.path}: {place.reason}")
