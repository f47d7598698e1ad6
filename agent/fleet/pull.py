"""Pulls the profiles of a fleet into a store, where they are imported profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.bundles.importing import store_bundle
from agent.bundles.manifest import BundleError
from agent.fleet.place import Refused
from store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from agent.fleet.place import Place


@dataclass(slots=True)
class Pulled:
    """The uids of the profiles that were imported, and the profiles and files that were left out."""

    uids: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def pull(place: Place, engine: Engine, since_ns: int = 0, report: Callable[[int], object] = lambda _: None) -> Pulled:
    """Import the profiles that the store does not have; a pull that was interrupted is resumed by the next one.

    `report` receives the number of imported profiles after each one. Raises FleetError and StoreError.
    """
    done = Pulled()
    known = {key.id for key in Reader(engine).profile_keys()}
    for bundle in place.bundles(since_ns, known):
        if isinstance(bundle, Refused):
            done.refused.append(bundle)
            continue
        uid = bundle.manifest.uid
        try:
            if store_bundle(bundle, engine):
                done.uids.append(uid)
                report(len(done.uids))
        except BundleError as error:
            done.refused.append(Refused(uid, str(error)))
    return done
