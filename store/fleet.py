"""Profiles of many hosts in one PostgreSQL store.

A row is inserted once and never changed, except for the description of a host. A login therefore needs no other right,
and pushes of any number of clients can be repeated in any order.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select, true
from sqlalchemy.dialects.postgresql import insert

from store import schema
from store.error_messages import translate_errors
from store.errors import UnstorableError
from store.inventory import host_row
from store.profile_points import points_of
from store.records import IMPORTER
from store.rows import insert_row, stored_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine

    from store.records import Host, RunStatus

_KEY_DIGITS = 12
_LONGEST_ID = 64
_IDS_AT_ONCE = 1000
_NAME = func.left(schema.hosts.c.name, 200)
"""The name of a host: a database without row-level security has no limit of its length."""


@dataclass(frozen=True, slots=True)
class FleetProfile:
    """A profile and the host that measured it, whose id begins with `import-`; `text` is the JSON of `document`."""

    host: Host
    uid: str
    created_ns: int
    status: RunStatus
    document: dict[str, Any]
    text: str

    @property
    def id(self) -> str:
        """The id of the stored profile."""
        return fleet_id(self.uid, self.host.id)


class FleetKey(NamedTuple):
    """The key of a stored profile: `id` is that of the row, `uid` that of the document."""

    id: str
    host_id: str
    host_name: str
    created_ns: int

    @property
    def uid(self) -> str:
        """The id of the document."""
        return self.id.removesuffix(f".{host_key(self.host_id)}")


@dataclass(frozen=True, slots=True)
class FleetHost:
    """A host with profiles: their number, and the time and the versions of the newest; empty versions are unknown."""

    host_id: str
    name: str
    profiles: int
    newest_ns: int
    inferometer_version: str
    schema_version: str


def host_key(host_id: str) -> str:
    """Return the last part of the ids of a host's profiles: twelve hexadecimal digits of SHA-256."""
    return sha256(host_id.encode()).hexdigest()[:_KEY_DIGITS]


def fleet_id(uid: str, host_id: str) -> str:
    """Return the id under which a profile is stored: its uid and the key of its host, so that no two hosts share one.

    Otherwise a host could find out by an insert whether another one has a profile of that uid, or take the uid before
    it. Raises ValueError if a uid is too long.
    """
    found = f"{uid}.{host_key(host_id)}"
    if len(found) > _LONGEST_ID:
        raise ValueError(f"its id has {len(uid)} characters, and a fleet takes {_LONGEST_ID - _KEY_DIGITS - 1}")
    return found


class FleetStore:
    """Reads and adds the profiles of a fleet; every method is one transaction and raises StoreError if it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._recordings: dict[str, int] = {}

    def stored(self, ids: Sequence[str]) -> dict[str, str]:
        """Return those of the ids under which a profile is stored, each with the SHA-256 of its JSON."""
        table, found = schema.profiles, dict[str, str]()
        digest = func.encode(func.sha256(func.convert_to(table.c.document, "UTF8")), "hex")
        with translate_errors(self._engine), self._engine.connect() as connection:
            for at in range(0, len(ids), _IDS_AT_ONCE):
                own = table.c.id.in_(ids[at : at + _IDS_AT_ONCE])
                found.update({row[0]: row[1] for row in connection.execute(select(table.c.id, digest).where(own))})
        return found

    def add(self, profiles: Iterable[FleetProfile]) -> frozenset[str]:
        """Add profiles, all or none; return the ids of those that were not stored yet."""
        ordered = sorted(profiles, key=lambda each: (each.host.id, each.created_ns))  # one order, so no deadlock
        with translate_errors(self._engine), self._engine.begin() as connection:
            self._add_hosts(connection, ordered)
            recordings = {each.host.id: self._recording(connection, each.host) for each in ordered}
            runs = [_run_row(each, recordings[each.host.id]) for each in ordered]
            connection.execute(insert(schema.runs).on_conflict_do_nothing(index_elements=["id"]), runs)
            table = schema.profiles
            statement = insert(table).values([_profile_row(each) for each in ordered])
            statement = statement.on_conflict_do_nothing(index_elements=["id"])
            added = frozenset(connection.execute(statement.returning(table.c.id)).scalars())
            points = [
                stored_row(schema.profile_points, asdict(point))
                for each in ordered
                if each.id in added
                for point in points_of(each.document, each.id, each.created_ns)
            ]
            if points:
                connection.execute(insert(schema.profile_points), points)
        self._recordings |= recordings
        return added

    def _add_hosts(self, connection: Connection, profiles: Sequence[FleetProfile]) -> None:
        """Add the hosts of profiles, or update the description of those that changed; the last one of a host counts."""
        table = schema.hosts
        for host in {each.host.id: each.host for each in profiles}.values():
            row = stored_row(table, {"id": host.id, **host_row(host)})
            statement = insert(table).values(**row)
            new = {name: statement.excluded[name] for name in row if name != "id"}
            changed = table.c.checksum.is_distinct_from(statement.excluded.checksum)
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new, where=changed))

    def _recording(self, connection: Connection, host: Host) -> int:
        """Return the recording to which the runs of a host belong; it has no samples."""
        if host.id in self._recordings:
            return self._recordings[host.id]
        table = schema.recordings
        own = select(func.min(table.c.id)).where(table.c.host_id == host.id, table.c.program == IMPORTER)
        found = connection.execute(own).scalar()
        if found is None:
            row = {"host_id": host.id, "boot_id": "", "program": IMPORTER, "process_id": os.getpid()}
            found = insert_row(connection, table, {**row, "started_ns": time.time_ns()})
        return int(found)

    def keys(self, since_ns: int = 0) -> tuple[FleetKey, ...]:
        """Return the keys of the profiles since a time by the clocks of their hosts, the oldest first."""
        profiles, runs, hosts = schema.profiles, schema.runs, schema.hosts
        joined = profiles.join(runs).join(hosts, hosts.c.id == runs.c.host_id)
        query = select(profiles.c.id, runs.c.host_id, _NAME, profiles.c.created_ns).select_from(joined)
        query = query.where(profiles.c.created_ns >= since_ns).order_by(profiles.c.created_ns, profiles.c.id)
        with translate_errors(self._engine), self._engine.connect() as connection:
            return tuple(FleetKey(*row) for row in connection.execute(query))

    def document(self, profile_id: str, most_bytes: int) -> str | None:
        """Return the JSON of a profile, None if it is not stored. Raises UnstorableError if it is too long."""
        table = schema.profiles
        own = table.c.id == profile_id
        with translate_errors(self._engine), self._engine.connect() as connection:
            size = connection.execute(select(func.octet_length(table.c.document)).where(own)).scalar()
            if size is not None and size > most_bytes:
                cause = f"the document has {size >> 20} MiB, and {most_bytes >> 20} MiB are read"
                raise UnstorableError(profile_id, cause, "It is not a profile that Inferometer made: delete it there")
            return connection.execute(select(table.c.document).where(own)).scalar()

    def hosts(self) -> tuple[FleetHost, ...]:
        """Return the hosts with profiles, ordered by name."""
        runs, hosts, points = schema.runs, schema.hosts, schema.profile_points
        counted = select(runs.c.host_id, func.count().label("profiles"), func.max(runs.c.ended_ns).label("ended_ns"))
        newest = counted.group_by(runs.c.host_id).subquery()
        last = (runs.c.host_id == newest.c.host_id) & (runs.c.ended_ns == newest.c.ended_ns)
        of_run = select(points.c.inferometer_version, points.c.schema_version)
        versions = of_run.where(points.c.profile_id == runs.c.id).limit(1).lateral()
        joined = hosts.join(newest, newest.c.host_id == hosts.c.id).join(runs, last).outerjoin(versions, true())
        query = select(hosts.c.id, _NAME, newest.c.profiles, newest.c.ended_ns, *versions.c)
        with translate_errors(self._engine), self._engine.connect() as connection:
            rows = connection.execute(query.select_from(joined).order_by(_NAME, hosts.c.id)).all()
        found = {row[0]: row for row in rows}.values()  # two profiles of a host can have the same time
        return tuple(FleetHost(row[0], row[1], row[2], row[3], row[4] or "", row[5] or "") for row in found)

    def logins(self) -> dict[str, str]:
        """Return the ids of the hosts that have a login, each with its login; empty without row-level security."""
        with translate_errors(self._engine), self._engine.connect() as connection:
            if connection.exec_driver_sql("SELECT to_regclass('fleet_logins')").scalar() is None:
                return {}
            rows = connection.exec_driver_sql("SELECT host_id, login::text FROM fleet_logins").all()
        return {row[0]: row[1] for row in rows}


def _run_row(profile: FleetProfile, recording: int) -> dict[str, Any]:
    row = {
        "id": profile.id,
        "host_id": profile.host.id,
        "recording_id": recording,
        "workload": profile.document["workload"]["name"],
        "settings": "{}",
        "status": profile.status.value,
        "started_ns": profile.created_ns,
        "ended_ns": profile.created_ns,
    }
    return stored_row(schema.runs, row)


def _profile_row(profile: FleetProfile) -> dict[str, Any]:
    row = {
        "id": profile.id,
        "run_id": profile.id,
        "created_ns": profile.created_ns,
        "workload": profile.document["workload"]["name"],
        "document": profile.text,
    }
    return stored_row(schema.profiles, row)
