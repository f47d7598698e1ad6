"""Finds the configured PDUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.meters.extra import library
from probes.meters.search import discover_meters
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.meters.probe import MeterSource
    from probes.model import DiscoveryResult, Roots
    from probes.settings import MeterConfig

KINDS = ("apc", "raritan")


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Ask each configured PDU. Raises ProbeUnavailableError if none is configured."""
    del roots
    return discover_meters("snmp", KINDS, settings, _connect)


def _connect(meter: MeterConfig) -> MeterSource:
    with library("pysnmp"):
        from probes.snmp.client import SnmpClient  # noqa: PLC0415  slow to import, and an extra
    from probes.snmp.pdus import connect  # noqa: PLC0415  only hosts with a PDU need it

    return connect(meter, SnmpClient(meter))
