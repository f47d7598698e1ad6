"""The logins of a fleet's database: each has the rights of its host and its role, and gets those of no other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from agent.fleet.place import Key, Refused
from agent.fleet.security import initialize, script
from fleet_databases import OWNER, contents
from fleet_documents import document_of
from store.views import views

if TYPE_CHECKING:
    from fleet_databases import FleetDatabase

pytestmark = pytest.mark.system
LONG = "l" * 63


@pytest.mark.parametrize(
    ("login", "host", "error"),
    [
        ("thief", "id-of-b", "host id-of-b has the login host_b already"),
        ("host_a", "id-of-b", "host id-of-b has the login host_b already"),
        (f"{LONG}2", "id-of-c", "cuts a name after 63 bytes"),
        ("alice", "id-of-c", "has the rights of inferometer_readers"),
        ("inferometer_owner", "id-of-c", "has the rights of inferometer_owner"),
        ("tester", "id-of-c", "has the rights of"),
        ("inferometer_pushers", "id-of-c", "is a member of role"),
        ("new", "", "fleet_logins_host_id_check"),
        ("new", "h" * 57, "fleet_logins_host_id_check"),
        ("new", "anonymous-0123456789abcdef", "fleet_logins_host_id_check"),
        ("new", "anonymous", "the host states the id of anonymized profiles"),
    ],
)
def test_no_login_is_mapped_to_the_identity_of_another_one(
    fleet: FleetDatabase, login: str, host: str, error: str
) -> None:
    fleet.server.psql(fleet.name, "CREATE ROLE alice LOGIN IN ROLE inferometer_readers")
    fleet.login(LONG, "id-of-long")
    roles, before = fleet.sql(OWNER, "SELECT rolname FROM pg_roles ORDER BY 1"), contents(fleet)
    program = fleet.server.psql(fleet.name, script("host"), "-v", f"login={login}", "-v", f"host={host}")
    assert program.returncode != 0
    assert error in program.stderr
    assert contents(fleet) == before
    assert fleet.sql(OWNER, "SELECT rolname FROM pg_roles ORDER BY 1") == roles


@pytest.mark.parametrize("login", ['GPU-1 "odd"; DROP TABLE runs; --', "gpu'1", "Host_A"])
def test_an_odd_name_of_a_login_is_a_name_of_its_own(fleet: FleetDatabase, login: str) -> None:
    fleet.login(login, "id-of-c")
    assert (login, "id-of-c") in fleet.sql(OWNER, "SELECT login::text, host_id FROM fleet_logins")
    assert fleet.sql(OWNER, "SELECT host_id FROM fleet_logins WHERE login = 'host_a'") == [("id-of-a",)]
    assert fleet.sql(OWNER, "SELECT count(*) FROM runs") == [(2,)]


def test_a_login_is_moved_to_a_host_without_one(fleet: FleetDatabase) -> None:
    fleet.login("host_a", "id-of-c")
    place = fleet.place("host_a")
    assert place.add([document_of("c")], anonymized=False).uids == ["c-0"]
    assert [each.name for each in place.add([document_of("a", 1)], anonymized=False).refused] == ["a-1"]


def test_a_login_without_a_host_reads_and_adds_nothing(fleet: FleetDatabase) -> None:
    fleet.login("stray", "id-of-c")
    fleet.sql(OWNER, "DELETE FROM fleet_logins WHERE login = 'stray'")
    place = fleet.place("stray")
    assert place.hosts(lambda _: None) == ()
    done = place.add([document_of("c")], anonymized=False)
    assert [each.name for each in done.refused] == ["c-0"]


def test_the_role_of_all_hosts_is_the_login_of_none(fleet: FleetDatabase) -> None:
    with fleet.engine("host_a").begin() as connection:
        connection.exec_driver_sql("SET ROLE inferometer_pushers")
        assert connection.exec_driver_sql("SELECT count(*) FROM profiles").scalar() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE t (i int)",
        "CREATE TEMPORARY TABLE runs (id text)",
        "CREATE SCHEMA host_a",
        "CREATE FUNCTION public.fleet_host() RETURNS text LANGUAGE sql AS $$SELECT 'import-id-of-b'$$",
        "CREATE OR REPLACE FUNCTION fleet_host() RETURNS text LANGUAGE sql AS $$SELECT 'import-id-of-b'$$",
        "SET ROLE host_b",
        "SET SESSION AUTHORIZATION host_b",
        "SET ROLE inferometer_owner",
    ],
)
def test_a_host_makes_nothing_by_which_it_could_be_another_one(fleet: FleetDatabase, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        fleet.sql("host_a", statement)


def test_an_anonymous_login_sees_anonymized_profiles_only(fleet: FleetDatabase) -> None:
    fleet.login("donor", "anonymous")
    place, uid = fleet.place("donor"), "anonymous-0123456789abcdef"
    anonymous = document_of("a", id=uid)
    anonymous["host"] |= {"id": uid, "name": "anonymous"}
    assert place.add([anonymous], anonymized=True).uids == [uid]
    assert set(place.stored([Key(uid, f"import-{uid}")])) == {Key(uid, f"import-{uid}")}
    assert isinstance(place.add([document_of("a", 1)], anonymized=True).refused[0], Refused)
    assert [host.name for host in place.hosts(lambda _: None)] == ["anonymous"]
    assert [host.name for host in fleet.place("host_a").hosts(lambda _: None)] == ["a"]


def test_a_reader_reads_everything_and_writes_nothing(fleet: FleetDatabase) -> None:
    fleet.server.psql(fleet.name, "CREATE ROLE alice LOGIN IN ROLE inferometer_readers")
    place = fleet.place("alice")
    assert [host.name for host in place.hosts(lambda _: None)] == ["a", "b"]
    assert place.logins() == {"id-of-a": "host_a", "id-of-b": "host_b"}
    for name in views("postgresql"):
        fleet.sql("alice", f"SELECT count(*) FROM {name}")
    assert {host for (host,) in fleet.sql("alice", "SELECT DISTINCT host FROM v_profile_points")} == {"a", "b"}
    for statement in ("DELETE FROM profiles", "UPDATE hosts SET name = ''", "CREATE TABLE t (i int)"):
        with pytest.raises(DBAPIError, match="permission denied"):
            fleet.sql("alice", statement)


def test_initializing_again_keeps_profiles_and_logins(fleet: FleetDatabase) -> None:
    before = contents(fleet)
    initialize(fleet.target(OWNER))
    assert contents(fleet) == before
    assert fleet.place("host_a").add([document_of("a", 1)], anonymized=False).uids == ["a-1"]
