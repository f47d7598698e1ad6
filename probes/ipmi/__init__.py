"""The power of a server as its BMC reports it over IPMI (DCMI), in-band or over the network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from probes.family import Family, ServiceNeeds
from probes.meters.search import configured, discover_meters
from probes.model import Kind
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from probes.model import DiscoveryResult, Roots

FAMILY = Family(
    "ipmi",
    "BMC (IPMI, DCMI)",
    (Kind.BOARD,),
    reads="power of the whole server",
    method="DCMI power reading, through ipmitool",
    refresh="1 to 60 s",
    privilege='read and write on /dev/ipmi0 for "local"; a user of the BMC with the level USER over the network',
    remedy='an entry of [[meters]] with url = "local", or with url, user and password_file; ipmitool must be installed',
    tested_on=("ipmitool 1.8.19 with a BMC of the tests over RMCP+", "printed captures of two layouts"),
    configured=True,
    meter_kinds=("ipmi",),
    service=ServiceNeeds(
        devices=("char-ipmidev rw",),
        rules=('ACTION=="add|change", SUBSYSTEM=="ipmi", KERNEL=="ipmi[0-9]*", GROUP="inferometer", MODE="0660"',),
        risk="a program that may open /dev/ipmi0 controls the BMC: it can switch the host off and change its users",
    ),
)
DISCOVERY_SECONDS = 20.0


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Ask each configured BMC once."""
    configured((FAMILY.name,), settings)
    from probes.ipmi.source import connect  # noqa: PLC0415  rarely needed

    return discover_meters(FAMILY.name, (FAMILY.name,), settings, partial(connect, roots), DISCOVERY_SECONDS)
