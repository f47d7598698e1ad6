"""A fleet's database: what a push stores and a pull returns, conflicts of ids and hosts, and odd documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agent.daemon.startup import _own_profiles
from agent.fleet.database import OTHER_CONTENT, OTHER_HOST
from agent.fleet.place import Key, Refused
from agent.fleet.pull import pull
from agent.fleet.push import Selection, push
from agent.fleet.security import initialize, script
from agent.fleet.target import target_of
from fleet_databases import COUNTS, OWNER, add
from fleet_documents import ODD, START_NS, document_of, measured, odd_text
from postgresql_server import started_server
from store.database import open_database
from store.errors import StoreError
from store.reader import Reader
from store.records import Profile
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from fleet_databases import FleetDatabase

pytestmark = pytest.mark.system


def test_a_push_stores_the_document_its_host_and_its_points_once(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    engine, place = store("a"), database.place("host_a")
    measured(engine, document_of("a"), document_of("a", 1))
    for uids, present in ((["a-0", "a-1"], 0), ([], 2)):
        done = push(Reader(engine), place, Selection())
        assert (done.uids, done.present, done.refused) == (uids, present, [])
    points = len(document_of("a")["points"])
    assert database.sql(OWNER, COUNTS) == [(2, 2)]
    assert database.sql(OWNER, "SELECT id, name FROM hosts") == [("import-id-of-a", "a")]
    assert database.sql(OWNER, "SELECT count(*) FROM recordings") == [(1,)]
    found = database.sql(OWNER, "SELECT host_id, host_name, count(*) FROM profile_points GROUP BY 1, 2")
    assert found == [("id-of-a", "a", 2 * points)]
    assert len(Reader(database.place(OWNER)._engine).profiles()) == 2  # with valid checksums


def test_a_pull_returns_the_same_documents(database: FleetDatabase, store: Callable[[str], Engine]) -> None:
    for host in ("a", "b"):
        add(database.place(f"host_{host}"), document_of(host), document_of(host, 1))
    head = store("head")
    done = pull(database.place(OWNER), head)
    assert (sorted(done.uids), done.refused) == (["a-0", "a-1", "b-0", "b-1"], [])
    assert pull(database.place(OWNER), head).uids == []
    found = {profile.id: json.loads(profile.document) for profile in Reader(head).profiles()}
    assert found["b-1"] == document_of("b", 1)


def test_two_hosts_may_have_profiles_of_the_same_uid(database: FleetDatabase) -> None:
    for host in ("a", "b"):
        assert add(database.place(f"host_{host}"), document_of(host, id="same")).uids == ["same"]
    assert database.sql(OWNER, COUNTS) == [(2, 2)]


def test_other_content_under_the_same_uid_is_refused_and_the_others_are_added(database: FleetDatabase) -> None:
    place = database.place("host_a")
    add(place, document_of("a"))
    done = add(place, document_of("a", notes=["other"]), document_of("a", 1), document_of("a", 2))
    assert (sorted(done.uids), done.refused) == (["a-1", "a-2"], [Refused("a-0", OTHER_CONTENT)])


def test_a_push_reports_other_content_by_name_and_overwrites_nothing(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    engine, place = store("a"), database.place("host_a")
    add(place, document_of("a", notes=["other"]))
    before = database.sql(OWNER, "SELECT * FROM profiles")
    measured(engine, document_of("a"), document_of("a", 1))
    done = push(Reader(engine), place, Selection())
    assert (done.uids, done.present, done.refused) == (["a-1"], 0, [Refused("a-0", OTHER_CONTENT)])
    assert database.sql(OWNER, "SELECT * FROM profiles WHERE id LIKE 'a-0.%'") == before


def test_a_profile_that_another_version_wrote_differently_is_there(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    engine, place = store("a"), database.place("host_a")
    measured(engine, document_of("a"))
    push(Reader(engine), place, Selection())
    database.sql(OWNER, "UPDATE profiles SET document = document::jsonb::text")  # other spaces and order
    hosts = database.sql(OWNER, "SELECT * FROM hosts")
    database.sql(OWNER, "UPDATE hosts SET name = 'renamed since'")
    done = push(Reader(engine), place, Selection())
    assert (done.uids, done.present, done.refused) == ([], 1, [])
    assert database.sql(OWNER, "SELECT * FROM hosts") != hosts  # an old profile does not describe the host again


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_profile_is_refused_by_its_uid_and_the_others_are_pushed(
    database: FleetDatabase, store: Callable[[str], Engine], odd: str
) -> None:
    engine = store("a")
    measured(engine, document_of("a"), document_of("a", 1), document_of("a", 2))
    Writer(engine).save_profile(Profile("a-1", "a-1", START_NS + 1, "transformer", odd_text("a", 1, odd)))
    done = push(Reader(engine), database.place("host_a"), Selection())
    assert (done.uids, [each.name for each in done.refused]) == (["a-0", "a-2"], ["a-1"])


def test_a_profile_of_a_uid_that_the_store_has_from_another_host_is_a_conflict_in_every_pull(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    add(database.place("host_a"), document_of("a", id="same"))
    head = store("head")
    assert pull(database.place(OWNER), head).uids == ["same"]
    add(database.place("host_b"), document_of("b", id="same"))
    for _ in range(2):
        done = pull(database.place(OWNER), head)
        assert (done.uids, [each.reason for each in done.refused]) == ([], [OTHER_HOST])


def test_a_uid_of_two_hosts_is_that_of_the_one_which_the_store_has_and_else_of_none(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    add(database.place("host_b"), document_of("b", 1))
    head = store("head")
    pull(database.place(OWNER), head)
    add(database.place("host_a"), document_of("a", id="b-2"))  # by its time the older one
    add(database.place("host_b"), document_of("b", 2))
    done = pull(database.place(OWNER), head)
    assert (done.uids, len(done.refused)) == (["b-2"], 1)
    assert {profile.id: json.loads(profile.document) for profile in Reader(head).profiles()}["b-2"]["host"][
        "name"
    ] == "b"
    done = pull(database.place(OWNER), store("other"))
    assert (done.uids, len(done.refused)) == (["b-1"], 2)
    for each in done.refused:
        assert each.reason.startswith("a (import-id-of-a) and b (import-id-of-b) have a profile of this id each")


def test_a_row_with_the_document_of_another_host_is_refused(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    add(database.place("host_a"), document_of("a"), document_of("a", 1))
    forged = json.dumps(document_of("b", id="a-0"))
    with database.engine(OWNER).begin() as connection:
        connection.exec_driver_sql("UPDATE profiles SET document = %s WHERE id LIKE 'a-0.%%'", (forged,))
    done = pull(database.place(OWNER), store("head"))
    assert (done.uids, [each.name[:4] for each in done.refused]) == (["a-1"], ["a-0."])
    assert "has another id or host than its row" in done.refused[0].reason


def test_the_newest_description_of_a_host_counts(database: FleetDatabase) -> None:
    place = database.place("host_a")
    renamed = document_of("a", 1)
    renamed["host"]["name"] = "renamed"
    add(place, document_of("a"), renamed)
    assert database.sql(OWNER, "SELECT name FROM hosts") == [("renamed",)]


def test_a_uid_that_is_too_long_is_refused(database: FleetDatabase) -> None:
    place, uid = database.place("host_a"), "u" * 52
    done = add(place, document_of("a", id=uid), document_of("a", 1))
    assert (done.uids, [each.name for each in done.refused]) == (["a-1"], [uid])
    assert place.stored([Key(uid, "import-id-of-a")]) == {}


def test_a_profile_of_another_host_is_refused_and_the_others_are_pushed(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    add(database.place("host_b"), document_of("b"))
    engine = store("a")
    measured(engine, document_of("a"), document_of("b", 1), document_of("a", 2))
    done = push(Reader(engine), database.place("host_a"), Selection())
    assert (done.uids, [each.name for each in done.refused]) == (["a-0", "a-2"], ["b-1"])
    assert "its row-level security allows this login the rows of its own host only" in done.refused[0].reason


def test_damaged_and_oversized_documents_do_not_stop_a_pull(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    add(database.place("host_a"), *(document_of("a", number) for number in range(5)))
    changes = {0: "'{'", 1: "repeat('[', 100000)", 2: "'[1e999]'", 3: "repeat('x', 67108865)"}
    for number, content in changes.items():
        database.sql(OWNER, f"UPDATE profiles SET document = {content} WHERE id LIKE 'a-{number}.%'")
    done = pull(database.place(OWNER), store("head"))
    assert (done.uids, len(done.refused)) == (["a-4"], 4)
    assert done.refused[3].reason.startswith("the document has 64 MiB, and 64 MiB are read. ")


def test_a_clock_ahead_and_a_clock_behind_change_nothing_but_the_reported_time(
    database: FleetDatabase, store: Callable[[str], Engine]
) -> None:
    place = database.place("host_a")
    add(place, document_of("a", 200_000), document_of("a", -200_000))
    head = store("head")
    assert len(pull(place, head).uids) == 2
    add(place, document_of("a", 1))
    assert pull(place, head).uids == ["a-1"]
    [host] = place.hosts(lambda _: None)
    assert (host.name, host.profiles, host.newest_ns) == ("a", 3, START_NS + 200_000 * 3600 * 10**9)
    assert (host.inferometer_version, host.schema_version) == ("0.1.0", document_of("a")["schema_version"])


def test_tables_of_another_version_are_left_unchanged(database: FleetDatabase) -> None:
    for version, words in (("0001", "Its owner makes and upgrades the tables"), ("9999", "is newer than")):
        database.sql(OWNER, f"UPDATE inferometer_version SET version_num = '{version}'")
        for login in ("host_a", OWNER):
            with pytest.raises(StoreError, match=words):
                database.place(login)
        assert database.sql(OWNER, "SELECT version_num FROM inferometer_version") == [(version,)]


def test_an_empty_database_is_not_filled_by_a_push(database: FleetDatabase) -> None:
    with database.server.database("empty") as url, pytest.raises(StoreError, match=r"it is empty\. Its owner makes"):
        target_of(url).engine()


def test_tables_without_the_roles_are_refused_by_init_and_open_to_no_host() -> None:
    with started_server() as server, server.database("fleet") as url:
        with pytest.raises(
            StoreError, match=r'role "inferometer_pushers" does not exist.*`inferometer fleet sql roles`'
        ):
            initialize(target_of(url))
        assert server.psql("fleet", script("roles")).returncode == 0
        initialize(target_of(url))


def test_the_service_pushes_the_profiles_of_its_host_from_a_store_of_several(database: FleetDatabase) -> None:
    with database.server.database("shared") as url:
        engine = open_database(url)
        try:
            measured(engine, document_of("a"), document_of("b"))
            assert _own_profiles(engine, "id-of-a") == {"a-0"}
        finally:
            engine.dispose()
