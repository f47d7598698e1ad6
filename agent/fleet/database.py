"""A PostgreSQL database as the place of a fleet's profiles."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.bundles.archive import check_depth, read_bundle
from agent.bundles.importing import created_ns_of, imported_host
from agent.bundles.manifest import MAX_BYTES, PROFILE
from agent.bundles.writing import bundle_bytes
from agent.fleet.place import Added, Key, Refused
from agent.profiling.document.versions import ProfileError, parse
from store.errors import ForeignHostError, StoreError, UnstorableError
from store.fleet import FleetProfile, FleetStore, fleet_id
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from agent.bundles.manifest import Bundle
    from agent.fleet.retry import Retry
    from agent.fleet.target import Target
    from store.fleet import FleetHost, FleetKey

_Json = dict[str, Any]
OTHER_CONTENT = "it is there already, with other content. Nothing was changed; delete that one to replace it"


class DatabasePlace:
    """The profiles in a database, with the rights of one login. Raises StoreError if it cannot be opened."""

    def __init__(self, target: Target, retry: Retry) -> None:
        self._retry = retry
        self._engine = retry(target.engine)
        self._store = FleetStore(self._engine)

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def stored(self, keys: Sequence[Key]) -> frozenset[Key]:
        """Return those of the keys whose profiles are stored."""
        ids: dict[str, Key] = {}
        for key in keys:
            with suppress(ValueError):  # `add` reports it
                ids[fleet_id(*key)] = key
        return frozenset(ids[each] for each in self._retry(partial(self._store.stored, list(ids))))

    def add(self, documents: Sequence[_Json], *, anonymized: bool) -> Added:  # noqa: ARG002  a document states it
        """Add profiles; if the database refuses one of them, the others are added one by one."""
        done, profiles = Added(), list[FleetProfile]()
        for document in documents:
            try:
                profiles.append(_fleet_profile(document))
            except ValueError as error:
                done.refused.append(Refused(document["id"], str(error)))
        try:
            self._add(profiles, done)
        except (ForeignHostError, UnstorableError):
            for profile in profiles:
                try:
                    self._add([profile], done)
                except (ForeignHostError, UnstorableError) as error:
                    done.refused.append(Refused(profile.uid, f"{error.cause}. {error.remedy}"))
        return done

    def _add(self, profiles: Sequence[FleetProfile], done: Added) -> None:
        if not profiles:
            return
        added = self._retry(partial(self._store.add, profiles))
        done.uids += [each.uid for each in profiles if each.id in added]
        for each in profiles:
            if each.id not in added and not self._has(each):
                done.refused.append(Refused(each.uid, OTHER_CONTENT))

    def _has(self, profile: FleetProfile) -> bool:
        """Return whether a stored profile has the same content."""
        text = self._retry(partial(self._store.document, profile.id, MAX_BYTES[PROFILE]))
        try:
            return text is not None and parse(text) == profile.document
        except ProfileError:
            return False

    def bundles(self, since_ns: int, known: Container[str]) -> Iterator[Bundle | Refused]:
        """Yield the profiles as bundles without samples, each checked like the file of a bundle."""
        for key in self._retry(partial(self._store.keys, since_ns)):
            if key.uid not in known:
                yield self._bundle(key)

    def _bundle(self, key: FleetKey) -> Bundle | Refused:
        try:
            text = self._retry(partial(self._store.document, key.id, MAX_BYTES[PROFILE]))
            check_depth((text or "").encode(), PROFILE)
            return read_bundle(bundle_bytes(parse(text or ""), None, None))
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # the content of another host
            return Refused(key.id, str(error))
        except StoreError as error:
            if error.database != key.id:  # the database failed, not this profile
                raise
            return Refused(key.id, error.cause)

    def hosts(self, report: Callable[[Refused], object]) -> tuple[FleetHost, ...]:  # noqa: ARG002  rows are intact
        """Return the hosts that have profiles."""
        return self._retry(self._store.hosts)

    def logins(self) -> dict[str, str]:
        """Return the hosts of the row-level security, each id with its login."""
        return self._retry(self._store.logins)


def _fleet_profile(document: _Json) -> FleetProfile:
    """Return the rows of a document. Raises ValueError if its uid or its time cannot be stored."""
    host = imported_host(document["host"])
    fleet_id(document["id"], host.id)
    text = json.dumps(document, allow_nan=False)
    return FleetProfile(host, document["id"], created_ns_of(document), RunStatus(document["status"]), document, text)
