"""Selects the chassis of a BMC that is this host, and those inside it; pure.

A BMC can list the whole server, its boards, cards and supplies, and other servers of the same enclosure. Exactly one
chassis counts as the host. The baseboard of the GPUs (HGX) is inside it, whether or not it states so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import ProbeUnavailableError
from probes.redfish.documents import Resource, link, links, part, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PARTS = frozenset(
    {"Card", "Cartridge", "Component", "Expansion", "HeatExchanger", "IPBasedDrive", "ImmersionTank"}
    | {"Module", "PowerStrip", "Sidecar", "StorageEnclosure", "Zone"}
)
"""The values of ChassisType that are not a server (DSP8010, Chassis)."""
_BASEBOARD = "HGX_"
"""The prefix of the systems and chassis that NVIDIA's baseboards add to the BMC of a server."""
MOST_INSIDE = 4


@dataclass(frozen=True, slots=True)
class Chassis:
    """One chassis: its path, and the facts that decide its place; `around` is the path of its container if stated."""

    path: str
    id: str
    kind: str
    systems: frozenset[str]
    around: str
    inside: tuple[str, ...]
    resource: Resource

    @property
    def is_server(self) -> bool:
        """Whether its type and its name are those of a server."""
        return self.kind not in _PARTS and not self.id.startswith(_BASEBOARD)


def chassis_in(path: str, resource: Resource) -> Chassis:
    """Return the facts of a Chassis resource: paths without a slash at their end, and no systems of baseboards."""
    found = part(resource, "Links")
    systems = _plain(links(part(found, "ComputerSystems")))
    own, around = _plain([path, link(part(found, "ContainedBy"))])
    return Chassis(
        own,
        text(resource.get("Id")) or own.rpartition("/")[2],
        text(resource.get("ChassisType")),
        frozenset(each for each in systems if not each.rpartition("/")[2].startswith(_BASEBOARD)),
        around,
        _plain(links(part(found, "Contains"))),
        resource,
    )


def _plain(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path.rstrip("/") for path in paths)


def hosts_among(all_chassis: Sequence[Chassis], wanted: str) -> tuple[Chassis, ...]:
    """Return the chassis that can be this host, the likeliest first; all are of one server.

    `wanted` is the Id of the configured one, if any. Raises ProbeUnavailableError if that is missing, or if the BMC
    manages several servers and none is configured.
    """
    known = ", ".join(each.id for each in all_chassis) or "none"
    if wanted:
        if chosen := tuple(each for each in all_chassis if each.id == wanted):
            return chosen
        raise ProbeUnavailableError(f"the BMC has no chassis {wanted!r}", f"set `part` to one of: {known}")
    containers = _containers(all_chassis)
    servers = [each for each in all_chassis if each.is_server] or list(all_chassis)
    within = {each.path: each.systems for each in all_chassis}
    for each in all_chassis:
        for outer in containers[each.path]:
            within[outer] = within.get(outer, frozenset()) | each.systems
    single = [each for each in servers if len(within[each.path]) <= 1]
    paths = {each.path for each in single}
    outermost = [each for each in single if not paths & containers[each.path]] or single
    candidates = [each for each in outermost if within[each.path]] or outermost
    if len({within[each.path] for each in candidates}) == 1:
        return tuple(candidates)
    reason = f"the BMC manages several servers ({known})" if candidates else f"no chassis is one server ({known})"
    raise ProbeUnavailableError(reason, "set `part` of the meter to the chassis of this host")


def inside(all_chassis: Sequence[Chassis], host: Chassis) -> tuple[Chassis, ...]:
    """Return at most four boards inside the host: contained ones that are no component, and baseboards of GPUs."""
    containers = _containers(all_chassis)
    found = [
        each
        for each in all_chassis
        if each.kind != "Component"
        and each.path != host.path
        and (host.path in containers[each.path] or (each.id.startswith(_BASEBOARD) and each.kind != ""))
    ]
    return tuple(found[:MOST_INSIDE])


def _containers(all_chassis: Iterable[Chassis]) -> Mapping[str, set[str]]:
    """Return the paths of all containers of each chassis, direct and indirect."""
    direct: dict[str, set[str]] = {each.path: {each.around} - {""} for each in all_chassis}
    for each in all_chassis:
        for path in each.inside:
            direct.setdefault(path, set()).add(each.path)
    found = {}
    for start in direct:
        reached, waiting = set[str](), [start]
        for path in waiting:
            new = direct.get(path, set()) - reached
            reached |= new
            waiting += new
        found[start] = reached - {start}
    return found
