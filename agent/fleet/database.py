"""A PostgreSQL database as the place of a fleet's profiles."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.bundles.archive import check_depth, read_bundle
from agent.bundles.importing import created_ns_of, imported_host
from agent.bundles.manifest import MAX_BYTES, PROFILE
from agent.bundles.writing import bundle_bytes
from agent.fleet.place import ODD, Added, Key, Refused, reason_of
from agent.profiling.document.versions import parse
from store.errors import ForeignHostError, UnstorableError
from store.fleet import FleetKey, FleetProfile, FleetStore, fleet_id
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent.bundles.manifest import Bundle
    from agent.fleet.retry import Retry
    from agent.fleet.target import Target
    from store.fleet import FleetHost

_Json = dict[str, Any]
_REFUSALS = (ForeignHostError, UnstorableError, *ODD)
"""The errors of one profile, which do not concern the others."""
OTHER_HOST = "the store has a profile of this id from another host. Nothing was changed; delete that one to pull this"
OTHER_CONTENT = "it is there already, with other content. Nothing was changed; delete that one to replace it"

SEVERAL_HOSTS = "{} have a profile of this id each, and one of them is wrong. Delete the wrong one there"


class DatabasePlace:
    """The profiles in a database, with the rights of one login. Raises StoreError if it cannot be opened."""

    def __init__(self, target: Target, retry: Retry) -> None:
        self._retry = retry
        self._engine = retry(target.engine)
        self._store = FleetStore(self._engine)

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def stored(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Return those of the keys whose profiles are stored, with the digests of their documents."""
        ids: dict[str, Key] = {}
        for key in keys:
            with suppress(ValueError):  # `add` reports it
                ids[fleet_id(*key)] = key
        found = self._retry(partial(self._store.stored, list(ids)))
        return {ids[each]: digest for each, digest in found.items()}

    def add(self, documents: Sequence[_Json], *, anonymized: bool) -> Added:  # noqa: ARG002  a document states it
        """Add profiles; if the database refuses one of them, the others are added one by one."""
        done, profiles = Added(), list[FleetProfile]()
        for document in documents:
            try:
                profiles.append(_fleet_profile(document))
            except ODD as error:
                done.refused.append(Refused(document["id"], reason_of(error)))
        stored = self._retry(partial(self._store.stored, [each.id for each in profiles]))
        self._refuse_others([each for each in profiles if each.id in stored], done)
        new = [each for each in profiles if each.id not in stored]
        try:
            self._add(new, done)
        except _REFUSALS:
            for profile in new:
                try:
                    self._add([profile], done)
                except _REFUSALS as error:
                    done.refused.append(Refused(profile.uid, reason_of(error)))
        return done

    def _add(self, profiles: Sequence[FleetProfile], done: Added) -> None:
        if not profiles:
            return
        added = self._retry(partial(self._store.add, profiles))
        done.uids += [each.uid for each in profiles if each.id in added]
        self._refuse_others([each for each in profiles if each.id not in added], done)  # another push was faster

    def _refuse_others(self, profiles: Sequence[FleetProfile], done: Added) -> None:
        """Refuse the profiles under whose ids another content is stored."""
        done.refused += [Refused(each.uid, OTHER_CONTENT) for each in profiles if not self._has(each)]

    def _has(self, profile: FleetProfile) -> bool:
        """Return whether a stored profile has the same content; an earlier version may have written it differently."""
        try:
            text = self._retry(partial(self._store.document, profile.id, MAX_BYTES[PROFILE]))
            return text is not None and parse(text) == profile.document
        except (*ODD, UnstorableError):
            return False

    def bundles(self, since_ns: int, known: Mapping[str, str]) -> Iterator[Bundle | Refused]:
        """Yield the profiles as bundles without samples, each checked like the file of a bundle.

        Of several hosts with a profile of one uid, only one that `known` has is trusted with it.
        """
        keys, hosts = self._retry(partial(self._store.keys, since_ns)), frozenset(known.values())
        held = defaultdict[str, list[FleetKey]](list)
        for key in keys:
            held[key.uid].append(key)
        for key in keys:
            several = held[key.uid]
            if key.uid in known:
                if known[key.uid] != key.host_id:
                    yield Refused(key.id, OTHER_HOST)
            elif len(several) == 1 or [each for each in several if each.host_id in hosts] == [key]:
                yield self._bundle(key)
            else:
                yield Refused(
                    key.id, SEVERAL_HOSTS.format(" and ".join(f"{each.host_name} ({each.host_id})" for each in several))
                )

    def _bundle(self, key: FleetKey) -> Bundle | Refused:
        try:
            text = self._retry(partial(self._store.document, key.id, MAX_BYTES[PROFILE])) or ""
            check_depth(text.encode(), PROFILE)
            bundle = read_bundle(bundle_bytes(parse(text), None, None))
            if (bundle.manifest.uid, imported_host(bundle.document["host"]).id) != (key.uid, key.host_id):
                return Refused(key.id, "its document has another id or host than its row. Delete it there")
        except (*ODD, UnstorableError) as error:  # the content of another host
            return Refused(key.id, reason_of(error))
        return bundle

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
