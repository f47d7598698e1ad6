"""Pushes to a server that restarts, is down, has no free connection, or writes its messages in another language."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from agent.fleet.database import DatabasePlace
from agent.fleet.push import Selection, push
from agent.fleet.retry import Retry
from agent.fleet.security import initialize, script
from agent.fleet.target import target_of
from fleet_databases import COUNTS, OWNER, add, initialized
from fleet_documents import document_of, measured
from postgresql_server import started_server
from store.errors import StoreError
from store.reader import Reader
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from fleet_databases import FleetDatabase

pytestmark = pytest.mark.system


def test_a_restart_of_the_server_loses_and_doubles_nothing(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    engine, place = store("a"), database.place("host_a")
    measured(engine, *(document_of("a", number) for number in range(45)))
    restarted: list[int] = []

    def restart(pushed: int, _left: int) -> None:
        if not restarted:
            restarted.append(pushed)
            database.server.restart()

    done = push(Reader(engine), place, Selection(), restart)
    assert (restarted, len(done.uids), done.refused) == ([20], 45, [])
    assert database.waits
    assert database.sql(OWNER, COUNTS) == [(45, 45)]


def test_a_push_waits_for_a_server_that_is_down(database: FleetDatabase) -> None:
    place = database.place("host_a")
    database.server.stop()
    database.server.admin.dispose()
    with ThreadPoolExecutor(1) as pool:
        added = pool.submit(add, place, document_of("a"))
        await_true(lambda: database.waits)
        database.server.start()
        assert added.result().uids == ["a-0"]


def test_two_hundred_clients_push_at_once_beyond_the_limit_of_connections() -> None:
    clients, each = 200, 1
    waits: list[str] = []
    with started_server("max_connections=20") as server, server.database("fleet"):
        assert server.psql("fleet", script("roles")).returncode == 0
        initialize(target_of(server.url("fleet", OWNER)))
        logins = [
            f"CREATE ROLE host_{n} LOGIN IN ROLE inferometer_pushers; "
            f"INSERT INTO fleet_logins VALUES ('host_{n}', 'id-of-{n}');"
            for n in range(clients)
        ]
        done = server.psql("fleet", "\n".join(logins))
        assert done.returncode == 0, done.stderr

        def client(number: int) -> int:
            place = DatabasePlace(target_of(server.url("fleet", f"host_{number}")), Retry(waits.append, 300.0))
            try:
                documents = [document_of(str(number), nth) for nth in range(each)]
                return len(add(place, *documents).uids) + len(add(place, *documents).uids)
            finally:
                place.close()

        with ThreadPoolExecutor(clients) as pool:
            assert sum(pool.map(client, range(clients))) == clients * each
        place = DatabasePlace(target_of(server.url("fleet", OWNER)), Retry(waits.append))
        try:
            hosts = place.hosts(lambda _: None)
        finally:
            place.close()
    assert [host.profiles for host in hosts] == [each] * clients
    assert any("too many" in wait or "remaining connection slots" in wait for wait in waits)


def test_a_refused_host_is_recognized_in_the_language_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de")  # without the catalog of this language, messages stay English
    with started_server("lc_messages=C.UTF-8") as server, initialized(server, "fleet") as database:
        done = add(database.place("host_a"), document_of("b"), document_of("a"))
        assert (done.uids, [each.name for each in done.refused]) == (["a-0"], ["b-0"])
        database.sql(OWNER, "REVOKE INSERT ON hosts FROM inferometer_pushers")
        with pytest.raises(StoreError, match="this user has no permission for that"):
            add(database.place("host_a"), document_of("a", 1))
