"""A PostgreSQL server, and an empty database of it for each test."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from postgresql_server import started_server


@pytest.fixture(scope="package")
def server():
    """A server on a unix socket: the URL of its databases, without a name, and a connection for its owner."""
    with started_server() as server:
        yield server.url("{}"), server.admin, server.restart


@pytest.fixture
def url(server, request):
    """The URL of an empty database for one test."""
    template, admin, _ = server
    name = f"test{abs(hash(request.node.name))}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield template.format(name)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def engine(opened, url):
    return opened(url)
