"""Databases of a fleet with row-level security, and their logins."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, NullPool, create_engine, text

from agent.fleet.database import DatabasePlace
from agent.fleet.retry import Retry
from agent.fleet.security import initialize, script
from agent.fleet.target import Target, target_of
from postgresql_server import Server, with_driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.fleet.place import Added

OWNER = "inferometer_owner"
COUNTS = "SELECT count(*), count(DISTINCT profiles.id) FROM profiles"
"""The query of the number of profiles and of their ids."""


@dataclass(frozen=True)
class FleetDatabase:
    """A database of the server; `waits` receives the messages of retries."""

    server: Server
    name: str
    places: list[DatabasePlace]
    waits: list[str]

    def target(self, user: str) -> Target:
        return target_of(self.server.url(self.name, user))

    def place(self, user: str, seconds: float = 30.0) -> DatabasePlace:
        """Open the place with the rights of a login."""
        self.places.append(DatabasePlace(self.target(user), Retry(self.waits.append, seconds)))
        return self.places[-1]

    def engine(self, user: str) -> Engine:
        """Return connections of a login, for SQL of its own; none stays open."""
        return create_engine(with_driver(self.server.url(self.name, user)), poolclass=NullPool)

    def sql(self, user: str, statement: str) -> list[Any]:
        """Run a statement as a login; return its rows."""
        with self.engine(user).begin() as connection:
            found = connection.execute(text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []

    def login(self, name: str, host: str) -> str:
        """Map a login to a host, with the script that the administrator uses."""
        own = "anonymous=yes" if host == "anonymous" else f"host={host}"
        done = self.server.psql(self.name, script("host"), "-v", f"login={name}", "-v", own)
        assert done.returncode == 0, done.stderr
        return name


@contextmanager
def initialized(server: Server, name: str) -> Iterator[FleetDatabase]:
    """Make a database, in which `host_a` and `host_b` are the logins of hosts `a` and `b`; drop it after the block."""
    with server.database(name):
        made = FleetDatabase(server, name, [], [])
        done = server.psql(name, script("roles"))
        assert done.returncode == 0, done.stderr
        initialize(made.target(OWNER))
        for host in ("a", "b"):
            made.login(f"host_{host}", f"id-of-{host}")
        yield made
        for place in made.places:
            place.close()


def contents(database: FleetDatabase) -> list[Any]:
    """Return every row of a fleet's tables."""
    names = ("hosts", "recordings", "runs", "profiles", "profile_points", "fleet_logins")
    return [database.sql(OWNER, f"SELECT * FROM {name} ORDER BY 1") for name in names]


def add(place: DatabasePlace, *documents: dict[str, Any]) -> Added:
    """Add documents that are not anonymized."""
    return place.add(documents, anonymized=False)
