"""Host A of a fleet reads, adds, changes and finds out nothing of host B."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from agent.fleet.place import Key
from agent.fleet.security import initialize
from fleet_databases import OWNER, contents
from fleet_documents import document_of
from store.fleet import fleet_id
from store.schema import metadata
from store.views import views

if TYPE_CHECKING:
    from fleet_databases import FleetDatabase

pytestmark = pytest.mark.system
REFUSED = "row-level security policy|permission denied"
ID_A, ID_B = fleet_id("a-0", "import-id-of-a"), fleet_id("b-0", "import-id-of-b")
KEY_A = ID_A.removeprefix("a-0")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("hosts", "id"),
        ("recordings", "host_id"),
        ("runs", "host_id"),
        ("profiles", "id"),
        ("profile_points", "host_id"),
        ("fleet_logins", "host_id"),
    ],
)
def test_a_host_reads_its_own_rows_only(fleet: FleetDatabase, table: str, column: str) -> None:
    every = {value for (value,) in fleet.sql(OWNER, f"SELECT {column} FROM {table}")}
    own = {value for (value,) in fleet.sql("host_a", f"SELECT {column} FROM {table}")}
    assert len(every) == 2
    assert own == every & {"import-id-of-a", "id-of-a", ID_A}
    assert len(own) == 1


def test_every_other_table_and_view_is_closed_to_a_host(fleet: FleetDatabase) -> None:
    open_tables = {"hosts", "recordings", "runs", "profiles", "profile_points"}
    for name in {*metadata.tables, *views("postgresql")} - open_tables:
        with pytest.raises(DBAPIError, match="permission denied"):
            fleet.sql("host_a", f"SELECT count(*) FROM {name}")


RECORDING = (
    "INSERT INTO recordings ({columns}, boot_id, program, process_id, started_ns) VALUES ({values}, '', 'import', 1, 1)"
)
RUN = "INSERT INTO runs VALUES ('{id}', '{host}', {recording}, 'w', 's', 'complete', 1, 1, 0)"
PROFILE = "INSERT INTO profiles VALUES ('{id}', '{run}', 1, 'w', '{document}', {tag}, 0)"
OWN = "(SELECT id FROM recordings)"
OTHER = "SELECT id FROM recordings WHERE host_id = 'import-id-of-b'"
DOCUMENT_A = '{"id": "new", "host": {"id": "id-of-a"}}'


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO hosts SELECT 'import-id-of-c', name, '', '', '', '', '', 1, 1, false, 0 FROM hosts",
        "UPDATE hosts SET id = 'import-id-of-b'",
        RECORDING.format(columns="host_id", values="'import-id-of-b'"),
        RECORDING.format(columns="id, host_id", values="999, 'import-id-of-a'"),
        RUN.format(id=f"new{KEY_A}", host="import-id-of-b", recording=OWN),
        RUN.format(id="new", host="import-id-of-a", recording=OWN),
        PROFILE.format(id=f"new{KEY_A}", run=ID_A, document=DOCUMENT_A, tag="NULL"),
        PROFILE.format(id=f"new{KEY_A}", run=ID_B, document=DOCUMENT_A, tag="NULL"),
        f"INSERT INTO profile_points (profile_id, host_id) VALUES ('{ID_B}', 'id-of-b')",
        f"INSERT INTO profile_points (profile_id, host_id) VALUES ('{ID_A}', 'id-of-b')",
        "INSERT INTO fleet_logins VALUES ('host_a', 'id-of-b') ON CONFLICT (login) DO UPDATE SET host_id = 'id-of-b'",
        "UPDATE fleet_logins SET host_id = 'id-of-b'",
    ],
)
def test_a_host_adds_nothing_as_another_host(fleet: FleetDatabase, statement: str) -> None:
    before = contents(fleet)
    with pytest.raises(DBAPIError, match=REFUSED):
        fleet.sql("host_a", statement)
    assert contents(fleet) == before


@pytest.mark.parametrize(
    ("document", "tag"),
    [
        ('{"id": "new", "host": {"id": "id-of-b"}}', "NULL"),
        ('{"id": "b-0", "host": {"id": "id-of-a"}}', "NULL"),
        ('{"id": "new", "host": {"id": "id-of-a", "id": "id-of-b"}}', "NULL"),
        ('{"id": "new", "host": {"id": "id-of-a"}, "host": {"id": "id-of-b"}}', "NULL"),
        (r'{"id": "new", "host": {"id": "id-of-a", "i\u0064": "id-of-b"}}', "NULL"),
        ('{"id": "new", "host": {"id": "id-of-A"}}', "NULL"),
        ('{"id": "new"}', "NULL"),
        (DOCUMENT_A, "'latest'"),
    ],
)
def test_a_document_that_names_another_host_or_id_is_refused(fleet: FleetDatabase, document: str, tag: str) -> None:
    run = RUN.format(id=f"new{KEY_A}", host="import-id-of-a", recording=OWN)
    added = PROFILE.format(id=f"new{KEY_A}", run=f"new{KEY_A}", document=document, tag=tag)
    fleet.sql("host_a", run)
    with pytest.raises(DBAPIError, match=REFUSED):
        fleet.sql("host_a", added)
    good = PROFILE.format(id=f"new{KEY_A}", run=f"new{KEY_A}", document=DOCUMENT_A, tag="NULL")
    fleet.sql("host_a", good)


@pytest.mark.parametrize("table", ["hosts", "recordings", "runs", "profiles", "profile_points", "inferometer_version"])
def test_a_host_deletes_and_changes_nothing(fleet: FleetDatabase, table: str) -> None:
    before = contents(fleet)
    statements = [f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE", f"DROP TABLE {table} CASCADE"]
    statements += [f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", f"DROP POLICY readers ON {table}"]
    if table != "hosts":
        column = metadata.tables[table].c[1].name if table in metadata.tables else "version_num"
        statements.append(f"UPDATE {table} SET {column} = {column}")
    for statement in statements:
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
            fleet.sql("host_a", statement)
    assert contents(fleet) == before


@pytest.mark.parametrize(
    "mode", ["ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE", "SHARE UPDATE EXCLUSIVE"]
)
def test_a_host_locks_no_table_against_others(fleet: FleetDatabase, mode: str) -> None:
    names = {*metadata.tables, *views("postgresql"), "inferometer_version", "fleet_logins"}
    for name in sorted(names):
        with pytest.raises(DBAPIError, match="permission denied"):
            fleet.sql("host_a", f"LOCK TABLE {name} IN {mode} MODE")


def test_a_database_of_an_earlier_version_gets_the_rights_of_columns(fleet: FleetDatabase) -> None:
    fleet.sql(OWNER, "GRANT UPDATE ON hosts TO inferometer_pushers")
    initialize(fleet.target(OWNER))
    with pytest.raises(DBAPIError, match="permission denied"):
        fleet.sql("host_a", "LOCK TABLE hosts IN ACCESS EXCLUSIVE MODE")
    renamed = document_of("a", 1)
    renamed["host"]["name"] = "renamed"
    assert fleet.place("host_a").add([renamed], anonymized=False).uids == ["a-1"]
    assert fleet.sql("host_a", "SELECT name FROM hosts") == [("renamed",)]


def test_a_host_describes_only_itself(fleet: FleetDatabase) -> None:
    fleet.sql("host_a", "UPDATE hosts SET name = 'renamed'")
    assert fleet.sql(OWNER, "SELECT id, name FROM hosts ORDER BY id") == [
        ("import-id-of-a", "renamed"),
        ("import-id-of-b", "b"),
    ]


def answer(fleet: FleetDatabase, statement: str) -> str:
    try:
        return str(fleet.sql("host_a", statement))
    except DBAPIError as error:
        return str(getattr(error.orig, "diag", None) and error.orig.diag.message_primary)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("statement", "existing", "other"),
    [
        ("SELECT count(*) FROM profiles WHERE id = '{}'", ID_B, ID_B.replace("b-0", "b-9")),
        (RUN.format(id="{}", host="import-id-of-a", recording=OWN), ID_B, ID_B.replace("b-0", "b-9")),
        (RUN.format(id="{}", host="import-id-of-b", recording=OWN), ID_B, ID_B.replace("b-0", "b-9")),
        (RUN.format(id=f"n{KEY_A}", host="{}", recording=OWN), "import-id-of-b", "import-id-of-c"),
        (RUN.format(id=f"n{KEY_A}", host="import-id-of-a", recording="{}"), OTHER, "987654"),
        (f"INSERT INTO profiles VALUES ('n{KEY_A}', '{{}}', 1, 'w', '[]', NULL, 0)", ID_B, "nothing"),
        ("INSERT INTO profile_points (profile_id, host_id) VALUES ('{}', 'id-of-a')", ID_B, "nothing"),
        ("SELECT id FROM hosts WHERE id = '{}' FOR KEY SHARE", "import-id-of-b", "import-id-of-c"),
    ],
)
def test_a_host_cannot_find_out_whether_another_host_or_its_profile_exists(
    fleet: FleetDatabase, statement: str, existing: str, other: str
) -> None:
    if existing == OTHER:
        [(existing,)] = fleet.sql(OWNER, OTHER)
    assert answer(fleet, statement.format(existing)) == answer(fleet, statement.format(other))


def test_a_known_uid_of_another_host_is_pushed_as_if_it_were_free(fleet: FleetDatabase) -> None:
    place = fleet.place("host_a")
    keys = [Key("b-0", "import-id-of-b"), Key("b-0", "import-id-of-a")]
    assert place.stored(keys) == {}
    assert place.add([document_of("a", id="b-0")], anonymized=False).uids == ["b-0"]
    assert fleet.place("host_b").add([document_of("b", 1)], anonymized=False).uids == ["b-1"]


def test_numbers_of_rows_count_nothing_of_others(fleet: FleetDatabase) -> None:
    for number in range(1, 4):
        fleet.place("host_b").add([document_of("b", number)], anonymized=False)
    assert {row for (row,) in fleet.sql("host_a", "SELECT last_value FROM pg_sequences")} == {None}
    sequences = [name for (name,) in fleet.sql(OWNER, "SELECT sequencename FROM pg_sequences")]
    assert "profile_points_id_seq" in sequences
    for name in sequences:
        for statement in (f"SELECT nextval('{name}')", f"SELECT last_value FROM {name}"):
            with pytest.raises(DBAPIError, match="permission denied"):
                fleet.sql("host_a", statement)
    for table in ("recordings", "profile_points"):
        numbers = [number for (number,) in fleet.sql(OWNER, f"SELECT id FROM {table} ORDER BY id")]
        assert len(numbers) > 1
        assert min(numbers) > 10**18  # a time, and no count


def test_a_database_of_an_earlier_version_gets_the_same_numbers(fleet: FleetDatabase) -> None:
    for table in ("recordings", "profile_points"):
        fleet.sql(OWNER, f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_id_seq')")
        fleet.sql(OWNER, f"GRANT USAGE ON SEQUENCE {table}_id_seq TO inferometer_pushers")
    before = contents(fleet)
    initialize(fleet.target(OWNER))
    assert contents(fleet) == before
    assert fleet.place("host_a").add([document_of("a", 1)], anonymized=False).uids == ["a-1"]
    with pytest.raises(DBAPIError, match="permission denied"):
        fleet.sql("host_a", "SELECT nextval('profile_points_id_seq')")


def test_the_newest_point_has_the_largest_number(fleet: FleetDatabase) -> None:
    place = fleet.place("host_a")
    for number in range(1, 30):
        place.add([document_of("a", number)], anonymized=False)
    order = "SELECT created_ns FROM profile_points WHERE host_id = 'id-of-a' ORDER BY id"
    times = [time for (time,) in fleet.sql(OWNER, order)]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("watts", "'NaN'"),
        ("watts_upper", "'Infinity'"),
        ("joules_per_unit", "-1e200"),
        ("cost_per_million_units", "1e200"),
        ("hardware", "repeat('x', 70000)"),
    ],
)
def test_a_host_adds_no_figure_that_spoils_the_sums_of_others(fleet: FleetDatabase, column: str, value: str) -> None:
    names = [name for name in metadata.tables["profile_points"].c.keys() if name != "id"]  # noqa: SIM118  columns
    copy = f"INSERT INTO profile_points ({', '.join(names)}) SELECT {{}} FROM profile_points LIMIT 1"
    fleet.sql("host_a", copy.format(", ".join(names)))
    with pytest.raises(DBAPIError, match=REFUSED):
        fleet.sql("host_a", copy.format(", ".join(value if name == column else name for name in names)))


def test_a_search_path_changes_nothing(fleet: FleetDatabase) -> None:
    with fleet.engine("host_a").begin() as connection:
        connection.exec_driver_sql("SET search_path = pg_temp, pg_catalog")
        assert connection.exec_driver_sql("SELECT count(*) FROM public.profiles").scalar() == 1


def test_statistics_of_the_tables_are_hidden(fleet: FleetDatabase) -> None:
    fleet.sql(OWNER, "ANALYZE")
    assert fleet.sql("host_a", "SELECT * FROM pg_stats WHERE tablename = 'hosts'") == []


def test_a_table_that_a_later_version_adds_is_closed_until_the_owner_opens_it(fleet: FleetDatabase) -> None:
    fleet.sql(OWNER, "CREATE TABLE later (id integer)")
    for _ in range(2):
        with pytest.raises(DBAPIError, match="permission denied"):
            fleet.sql("host_a", "SELECT * FROM later")
        initialize(fleet.target(OWNER))
