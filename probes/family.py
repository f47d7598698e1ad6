"""Describes a family of sensors, for lists, pages and remedies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes.model import Kind


@dataclass(frozen=True, slots=True)
class Family:
    """A family of sensors: one module or package of `probes`, which has it as `FAMILY`.

    `kinds` are the kinds of its devices. `reads` names the hardware, `method` the origin of its values, `refresh` the
    time between two new values, `privilege` the permission that a read needs, and `remedy` the way to get it; both are
    empty if every user may read it. `tested_on` are the proofs of the family, such as "capture of an H100". A
    `configured` family is searched only if the configuration names its devices.
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
