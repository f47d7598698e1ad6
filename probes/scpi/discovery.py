"""Finds the configured bench meters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.meters.extra import library
from probes.meters.search import discover_meters
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.meters.probe import MeterSource
    from probes.model import DiscoveryResult, Roots
    from probes.settings import MeterConfig

KINDS = ("scpi",)


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Identify each configured meter. Raises ProbeUnavailableError if none is configured."""
    del roots
    return discover_meters("scpi", KINDS, settings, _connect)


def _connect(meter: MeterConfig) -> MeterSource:
    with library("pyvisa-py", "scpi"):
        from probes.scpi.instrument import connect  # noqa: PLC0415  slow to import, and an extra
    return connect(meter)
