"""Describes a family of sensors, for lists, pages and remedies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes.model import Kind


@dataclass(frozen=True, slots=True)
class ServiceNeeds:
    """The permissions that the unit of the service lacks for one family, and that `service install --enable` adds.

    `devices` are lines of DeviceAllow=, such as "char-drm rw", and `groups` those of their nodes in /dev; a group that
    the host lacks is left out. `capabilities`, `system_calls` and `paths` (bound read-only) are those of systemd.exec.
    `rules` are lines of udev and `tmpfiles` lines of tmpfiles.d, for nodes and files that only root may open; their
    group is inferometer. A family of network meters needs all of these only for a meter whose URL is "local", and the
    addresses of its configured meters in any case. `risk` is a sentence about what the permission allows beyond
    reading.
    """

    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    system_calls: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    tmpfiles: tuple[str, ...] = ()
    risk: str = ""


NO_NEEDS = ServiceNeeds()
"""The unit lets the family read as it is."""


@dataclass(frozen=True, slots=True)
class Family:
    """A family of sensors: one module or package of `probes`, which has it as `FAMILY`.

    `kinds` are the kinds of its devices. `reads` names the hardware, `method` the origin of its values, `refresh` the
    time between two new values, `privilege` the permission that a read needs, and `remedy` the way to get it; both are
    empty if every user may read it. `tested_on` are the proofs of the family, such as "capture of an H100". A
    `configured` family is searched only if the configuration names its devices; `meter_kinds` are the kinds of
    `[[meters]]` that it reads. `service` are the permissions that the unit of the service must get for it.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    reads: str
    method: str
    refresh: str
    privilege: str = ""
    remedy: str = ""
    tested_on: tuple[str, ...] = ()
    configured: bool = False
    meter_kinds: tuple[str, ...] = ()
    service: ServiceNeeds = NO_NEEDS

    @property
    def needs_unit(self) -> bool:
        """Whether the unit of the service must be opened for it."""
        return bool(self.meter_kinds) or self.service != NO_NEEDS
