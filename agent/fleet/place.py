"""The interface of a fleet's place: a database or a directory of profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from agent.bundles.manifest import Bundle
    from store.fleet import FleetHost


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


class Place(Protocol):
    """Profiles of many hosts; every method raises FleetError, and StoreError if it is a database."""

    def stored(self, keys: Sequence[Key]) -> frozenset[Key]:
        """Return those of the keys whose profiles are there."""

    def add(self, documents: Sequence[dict[str, Any]], *, anonymized: bool) -> Added:
        """Add profiles that are not there yet; the same ones again change nothing."""

    def bundles(self, since_ns: int, known: Container[str]) -> Iterator[Bundle | Refused]:
        """Yield the profiles since a time by the clocks of their hosts, without those of the uids in `known`."""

    def hosts(self, report: Callable[[Refused], object]) -> tuple[FleetHost, ...]:
        """Return the hosts that have profiles, ordered by name; `report` receives what cannot be read."""

    def logins(self) -> dict[str, str]:
        """Return the hosts that may push, each id with its login; empty if the place does not record them."""

    def close(self) -> None:
        """Release the connections."""
