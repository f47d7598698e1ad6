"""The state of each host of a fleet: current, stale, ahead of the time, or missing (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from store.records import IMPORTER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from store.fleet import FleetHost

State = Literal["current", "stale", "ahead", "missing"]
AHEAD_NS = 60 * 10**9
"""A newest profile this far in the future shows that the clock of its host, or of this one, is wrong."""
_PREFIX = f"{IMPORTER}-"
_ANONYMOUS = "anonymous"
"""The beginning of the id of a host that is known by an anonymized profile alone."""
_NAME_SHARED = "another host has this name"
_ORDER: dict[State, int] = {"missing": 0, "ahead": 1, "stale": 2, "current": 3}


@dataclass(frozen=True, slots=True)
class HostState:
    """A host: `newest_ns` is the time of its newest profile by its own clock, `age_seconds` the time since then.

    Both are None for a host without a profile, and versions are then empty. `notes` are sentences.
    """

    name: str
    host_id: str
    state: State
    profiles: int
    newest_ns: int | None
    age_seconds: float | None
    inferometer_version: str
    schema_version: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetState:
    """The hosts, those that need attention first, and the number of hosts of each version of Inferometer."""

    hosts: tuple[HostState, ...]
    versions: Mapping[str, int]

    def count(self, state: State) -> int:
        """Return the number of hosts in a state."""
        return sum(host.state == state for host in self.hosts)


def fleet_state(
    hosts: Sequence[FleetHost], logins: Mapping[str, str], expected: Collection[str], now_ns: int, stale_seconds: float
) -> FleetState:
    """Return the state of the hosts that have profiles, and of those that should have some.

    `logins` are the hosts with a login, each id with its login; `expected` are names of hosts or of logins. The
    name of a login is that of its host alone, since another host can take any name. A host is stale if its newest
    profile is older than `stale_seconds`.
    """
    versions = Counter(host.inferometer_version for host in hosts if host.inferometer_version)
    usual = max(versions, key=lambda each: (versions[each], each), default="")
    names = Counter(host.name for host in hosts)
    found = [_state(host, usual, names, now_ns, stale_seconds) for host in hosts]
    present = {host.host_id for host in found}
    owners = {login: host_id for host_id, login in logins.items() if host_id != _ANONYMOUS}
    missing = [
        *(_missing(name, "") for name in sorted(set(expected) - owners.keys() - names.keys())),
        *(_missing(login, host_id) for login, host_id in sorted(owners.items()) if host_id not in present),
    ]
    ordered = sorted((*missing, *found), key=lambda host: (_ORDER[host.state], host.name, host.host_id))
    return FleetState(tuple(ordered), dict(sorted(versions.items())))


def _state(host: FleetHost, usual: str, names: Mapping[str, int], now_ns: int, stale_seconds: float) -> HostState:
    age_ns, own_id = now_ns - host.newest_ns, host.host_id.removeprefix(_PREFIX)
    is_stale = age_ns > stale_seconds * 1e9 and not own_id.startswith(_ANONYMOUS)  # it has one profile, and no next one
    state: State = "ahead" if age_ns < -AHEAD_NS else "stale" if is_stale else "current"
    notes = []
    if state == "ahead":
        notes.append("its newest profile is in the future: check its clock")
    if host.inferometer_version and host.inferometer_version != usual:
        notes.append(f"most hosts have version {usual}")
    if names[host.name] > 1 and not own_id.startswith(_ANONYMOUS):
        notes.append(_NAME_SHARED)
    versions = host.inferometer_version, host.schema_version
    return HostState(host.name, own_id, state, host.profiles, host.newest_ns, age_ns / 1e9, *versions, tuple(notes))


def _missing(name: str, host_id: str) -> HostState:
    return HostState(name, host_id, "missing", 0, None, None, "", "")
