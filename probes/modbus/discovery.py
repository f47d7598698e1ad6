"""Finds the configured Modbus meters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.meters.extra import library
from probes.meters.search import discover_meters
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.meters.probe import MeterSource
    from probes.model import DiscoveryResult, Roots
    from probes.settings import MeterConfig

KINDS = ("modbus",)


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Connect to each configured meter. Raises ProbeUnavailableError if none is configured."""
    del roots
    return discover_meters("modbus", KINDS, settings, _connect)


def _connect(meter: MeterConfig) -> MeterSource:
    with library("pymodbus", logger="pymodbus"):
        from probes.modbus.client import connect  # noqa: PLC0415  slow to import, and an extra
    return connect(meter)
