"""A PostgreSQL server, and a fleet's database with row-level security for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_databases import FleetDatabase, initialized
from fleet_documents import document_of, new_store
from postgresql_server import Server, started_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with started_server() as server:
        yield server


@pytest.fixture
def database(server: Server, request: pytest.FixtureRequest) -> Iterator[FleetDatabase]:
    with initialized(server, f"fleet{abs(hash(request.node.name))}") as made:
        yield made


@pytest.fixture
def fleet(database: FleetDatabase) -> FleetDatabase:
    """A database with a profile of each host."""
    for host in ("a", "b"):
        done = database.place(f"host_{host}").add([document_of(host)], anonymized=False)
        assert done.uids == [f"{host}-0"]
    return database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    """Make empty stores by name, closed after the test."""
    made: list[Engine] = []

    def make(name: str) -> Engine:
        made.append(new_store(tmp_path / f"{name}.db"))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()
