"""Finds the configured smart plugs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.meters.search import discover_meters
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.meters.probe import MeterSource
    from probes.model import DiscoveryResult, Roots
    from probes.settings import MeterConfig

KINDS = ("shelly", "tasmota")


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Connect to each configured plug. Raises ProbeUnavailableError if none is configured."""
    del roots
    return discover_meters("plugs", KINDS, settings, _connect)


def _connect(meter: MeterConfig) -> MeterSource:
    from probes.plugs import shelly, tasmota  # noqa: PLC0415  only hosts with a plug need them

    return shelly.connect(meter) if meter.kind == "shelly" else tasmota.connect(meter)
