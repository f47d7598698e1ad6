"""Pulls the profiles of a fleet into a store, where they are imported profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.bundles.importing import imported_host_id, store_bundle
from agent.fleet.place import ODD, Refused, reason_of
from store.damage import DamagedError
from store.errors import UnstorableError
from store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from agent.bundles.manifest import Bundle
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
    keys = Reader(engine).profile_keys()
    known = {key.id: key.host_id if key.imported else imported_host_id(key.host_id) for key in keys}
    for bundle in place.bundles(since_ns, known):
        if isinstance(bundle, Refused):
            done.refused.append(bundle)
        elif _import(bundle, engine, done):
            report(len(done.uids))
    return done


def _import(bundle: Bundle, engine: Engine, done: Pulled) -> bool:
    """Store a bundle; return whether it is new. One that the store cannot hold is refused."""
    uid = bundle.manifest.uid
    try:
        if not store_bundle(bundle, engine):
            return False
    except ImportError as error:
        done.refused.append(Refused(uid, f"its samples need the extra `parquet` ({error})"))
    except (*ODD, DamagedError, UnstorableError) as error:
        done.refused.append(Refused(uid, reason_of(error)))
    else:
        done.uids.append(uid)
        return True
    return False
