"""The power of a server as its BMC reports it over Redfish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.family import Family
from probes.meters.search import configured
from probes.model import Kind
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.model import DiscoveryResult, Roots

FAMILY = Family(
    "redfish",
    "BMC (Redfish)",
    (Kind.BOARD,),
    reads="power and energy of the whole server, and of the baseboard of its GPUs",
    method="EnvironmentMetrics, PowerControl or Sensors of a chassis",
    refresh="1 to 60 s",
    privilege="a user of the BMC with the role ReadOnly",
    remedy="an entry of [[meters]] with url, user, password_file and the fingerprint of the certificate",
    tested_on=(
        "DMTF's mockup server 1.2.6",
        "DMTF's mockup and captures of Dell and HPE on a server of the tests, over TLS and with faults",
    ),
    configured=True,
    meter_kinds=("redfish",),
)


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Log in to each configured BMC, select its sources, and test them with one read."""
    del roots
    meters = configured((FAMILY.name,), settings)
    from probes.redfish.discovery import discover_meters  # noqa: PLC0415  slow to import, and rarely needed

    return discover_meters(meters, settings)
