"""Pushes the profiles of a store to a fleet: those that are not there yet, the oldest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.bundles.anonymize import Anonymizer
from agent.bundles.importing import imported_host, imported_host_id
from agent.fleet.place import Key, Refused
from agent.profiling.document.codec import check
from agent.profiling.document.versions import parse
from store.damage import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.fleet.place import Added, Place
    from store.reader import Reader
    from store.records import ProfileKey

_AT_ONCE = 20
"""The profiles of one transaction: two megabytes."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The profiles to push: those since a time, measured by this store, or also `imported` ones; maybe `anonymized`."""

    since_ns: int = 0
    imported: bool = False
    anonymized: bool = False


@dataclass(slots=True)
class Pushed:
    """The uids of the profiles that were added, the number of those that were there already, and the refused ones."""

    uids: list[str] = field(default_factory=list)
    present: int = 0
    refused: list[Refused] = field(default_factory=list)


def push(
    reader: Reader, place: Place, selection: Selection, report: Callable[[int, int], object] = lambda *_: None
) -> Pushed:
    """Push the selected profiles; a push that was interrupted is resumed by the next one.

    `report` receives the numbers of pushed and of remaining profiles after each transaction. Raises FleetError and
    StoreError.
    """
    since_ns, imported = selection.since_ns, selection.imported
    keys = [key for key in reader.profile_keys() if key.created_ns >= since_ns and (imported or not key.imported)]
    done = Pushed()
    missing = keys if selection.anonymized else _missing(keys, place, done)
    for at in range(0, len(missing), _AT_ONCE):
        part = missing[at : at + _AT_ONCE]
        documents = [each for key in part if (each := _document(reader, key, selection, done)) is not None]
        if selection.anonymized:
            documents = _without_present(documents, place, done)
        added: Added = place.add(documents, anonymized=selection.anonymized)
        done.uids += added.uids
        done.refused += added.refused
        done.present += len(documents) - len(added.uids) - len(added.refused)
        report(len(done.uids), len(missing) - at - len(part))
    return done


def _missing(keys: Sequence[ProfileKey], place: Place, done: Pushed) -> list[ProfileKey]:
    wanted = {_key(key): key for key in keys}
    stored = place.stored(list(wanted))
    done.present += len(stored)
    return [key for each, key in wanted.items() if each not in stored]


def _key(key: ProfileKey) -> Key:
    host_id = key.host_id if key.imported else imported_host_id(key.host_id)
    return Key(key.id, host_id)


def _document(reader: Reader, key: ProfileKey, selection: Selection, done: Pushed) -> dict[str, Any] | None:
    """Return the document of a profile, None if it cannot be read."""
    try:
        profile = reader.profile(key.id)
        if profile is None:  # deleted meanwhile
            return None
        document = parse(profile.document)
        check(document)
        return Anonymizer(document).document() if selection.anonymized else document
    except (ValueError, DamagedError) as error:
        done.refused.append(Refused(key.id, str(error)))
        return None


def _without_present(documents: Iterable[dict[str, Any]], place: Place, done: Pushed) -> list[dict[str, Any]]:
    found = {Key(each["id"], imported_host(each["host"]).id): each for each in documents}
    stored = place.stored(list(found))
    done.present += len(stored)
    return [document for key, document in found.items() if key not in stored]
