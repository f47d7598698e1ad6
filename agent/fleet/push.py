"""Pushes the profiles of a store to a fleet: those that are not there yet, the oldest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.bundles.anonymize import Anonymizer
from agent.bundles.archive import check_texts
from agent.bundles.importing import imported_host, imported_host_id
from agent.fleet.place import ODD, Key, Refused, digest_of, reason_of
from agent.profiling.document.codec import check
from agent.profiling.document.versions import parse
from store.damage import DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent.fleet.place import Place
    from store.reader import Reader
    from store.records import ProfileKey

_AT_ONCE = 20
_MOST_CHARACTERS = 4 << 20
"""The most profiles of one transaction, and the characters of their documents after which it takes no other one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The profiles to push: those since a time, measured by this store, or also `imported` ones; maybe `anonymized`.

    `uids` restricts them to these.
    """

    since_ns: int = 0
    imported: bool = False
    anonymized: bool = False
    uids: frozenset[str] | None = None

    def has(self, key: ProfileKey) -> bool:
        """Return whether a profile is selected."""
        wanted = self.uids is None or key.id in self.uids
        return wanted and key.created_ns >= self.since_ns and (self.imported or not key.imported)


@dataclass(slots=True)
class Pushed:
    """The uids of the profiles that were added, the number of those that were there already, and the refused ones.

    Those of an anonymized push are new, but a refused profile has its name in the store.
    """

    uids: list[str] = field(default_factory=list)
    present: int = 0
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Profile:
    """A profile as it is pushed: `uid` is that of the store."""

    uid: str
    document: dict[str, Any]
    digest: str

    @property
    def key(self) -> Key:
        return Key(self.document["id"], imported_host(self.document["host"]).id)


def push(
    reader: Reader, place: Place, selection: Selection, report: Callable[[int, int], object] = lambda *_: None
) -> Pushed:
    """Push the selected profiles; a push that was interrupted is resumed by the next one.

    `report` receives the numbers of pushed and of remaining profiles after each transaction. Raises FleetError and
    StoreError.
    """
    keys = [key for key in reader.profile_keys() if selection.has(key)]
    done = Pushed()
    stored = None if selection.anonymized else place.stored([_key(key) for key in keys])
    for part, left in _parts(reader, keys, selection, done):
        _push_part(part, place, selection, stored, done)
        report(len(done.uids), left)
    return done


def _push_part(
    part: Sequence[_Profile], place: Place, selection: Selection, stored: Mapping[Key, str] | None, done: Pushed
) -> None:
    if stored is None:
        stored = place.stored([each.key for each in part])
    new = {each.key.uid: each for each in part if stored.get(each.key) != each.digest}
    added = place.add([each.document for each in new.values()], anonymized=selection.anonymized)
    done.uids += added.uids
    done.refused += [Refused(new[each.name].uid, each.reason) for each in added.refused]
    done.present += len(part) - len(added.uids) - len(added.refused)


def _key(key: ProfileKey) -> Key:
    host_id = key.host_id if key.imported else imported_host_id(key.host_id)
    return Key(key.id, host_id)


def _parts(
    reader: Reader, keys: Sequence[ProfileKey], selection: Selection, done: Pushed
) -> Iterator[tuple[list[_Profile], int]]:
    """Yield the profiles in parts for one transaction each, with the number of those that follow."""
    part, characters = list[_Profile](), 0
    for number, key in enumerate(keys, 1):
        try:
            stored = reader.profile(key.id)
            if stored is None:  # deleted meanwhile
                continue
            characters += len(stored.document)
            part.append(_profile(key.id, stored.document, selection))
        except (*ODD, DamagedError) as error:
            done.refused.append(Refused(key.id, reason_of(error)))
        if len(part) >= _AT_ONCE or characters >= _MOST_CHARACTERS:
            yield part, len(keys) - number
            part, characters = [], 0
    if part:
        yield part, 0


def _profile(uid: str, text: str, selection: Selection) -> _Profile:
    """Return a profile. Raises the errors of `ODD` if its document is none that others could read."""
    document = parse(text)
    check(document)
    check_texts(document)
    if selection.anonymized:
        document = Anonymizer(document).document()
    return _Profile(uid, document, digest_of(document))
