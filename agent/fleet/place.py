"""The interface of a fleet's place: a database or a directory of profiles."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent.bundles.manifest import Bundle
    from store.fleet import FleetHost


ODD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""The errors with which a document that only resembles a profile is refused, beside those of its check."""


def reason_of(error: Exception) -> str:
    """Return the reason to refuse a profile, after an error of the store or of `ODD`."""
    if isinstance(error, StoreError):
        return f"{error.cause}. {error.remedy}"
    return str(error) if isinstance(error, ValueError) else f"its document is not that of a profile ({error!r})"


class Key(NamedTuple):
    """A profile of a fleet: its uid, and the id of its host in a store, which begins with `import-`."""

    uid: str
    host_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A profile or a file that was left out, with the reason."""

    name: str
    reason: str


@dataclass(slots=True)
class Added:
    """The result of an addition: the uids of new profiles, and the refused ones; all others were there already."""

    uids: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a document, as the places of a fleet have it. Raises ValueError for an infinite number."""
    return hashlib.sha256(json.dumps(document, allow_nan=False).encode()).hexdigest()


class Place(Protocol):
    """Profiles of many hosts; every method raises FleetError, and StoreError if it is a database."""

    def stored(self, keys: Sequence[Key]) -> Mapping[Key, str]:
        """Return those of the keys whose profiles are there, each with the digest of its document."""

    def add(self, documents: Sequence[dict[str, Any]], *, anonymized: bool) -> Added:
        """Add profiles that are not there yet; the same ones change nothing, ones with other content are refused."""

    def bundles(self, since_ns: int, known: Mapping[str, str]) -> Iterator[Bundle | Refused]:
        """Yield the profiles since a time by the clocks of their hosts, without the known ones: uids with their hosts.

        A profile with a known uid of another host is refused where that costs no read of it.
        """

    def hosts(self, report: Callable[[Refused], object]) -> tuple[FleetHost, ...]:
        """Return the hosts that have profiles, ordered by name; `report` receives what cannot be read."""

    def logins(self) -> dict[str, str]:
        """Return the hosts that may push, each id with its login; empty if the place does not record them."""

    def close(self) -> None:
        """Release the connections."""
