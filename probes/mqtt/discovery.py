"""Finds the configured meters behind MQTT brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.meters.extra import library
from probes.meters.search import discover_meters
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.meters.probe import MeterSource
    from probes.model import DiscoveryResult, Roots
    from probes.settings import MeterConfig

KINDS = ("mqtt",)


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Subscribe to the topic of each configured meter. Raises ProbeUnavailableError if none is configured."""
    del roots
    return discover_meters("mqtt", KINDS, settings, _connect)


def _connect(meter: MeterConfig) -> MeterSource:
    with library("paho-mqtt", logger="paho"):
        from probes.mqtt.subscription import connect  # noqa: PLC0415  slow to import, and an extra
    return connect(meter)
