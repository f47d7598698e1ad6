"""The hosts of anonymized profiles: each profile has an id of its own, so that they count as one host; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from store.records import IMPORTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.fleet import FleetHost

_ID = f"{IMPORTER}-anonymous"


def anonymous_as_one(hosts: Sequence[FleetHost]) -> list[FleetHost]:
    """Return the hosts with those of anonymized profiles as one, which has the newest of these profiles."""
    anonymous = [each for each in hosts if each.host_id.startswith(_ID)]
    named = [each for each in hosts if not each.host_id.startswith(_ID)]
    if not anonymous:
        return named
    newest = max(anonymous, key=lambda each: each.newest_ns)
    return [*named, replace(newest, host_id=_ID, profiles=sum(each.profiles for each in anonymous))]
