"""A host of a fleet adds no row that stops the readers of others, or that gives their costs another meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from fleet_databases import OWNER
from fleet_documents import document_of
from store.fleet_filter import PointFilter
from store.fleet_query import fleet_query
from store.schema import metadata

if TYPE_CHECKING:
    from fleet_databases import FleetDatabase

pytestmark = pytest.mark.system
COLUMNS = [name for name in metadata.tables["profile_points"].c.keys() if name != "id"]  # noqa: SIM118  columns
ODD = 'é "\\ \t\x1f\x7f/\uffff 😀'
AFTER_2099 = 4_102_444_800 * 10**9


def copied(fleet: FleetDatabase, **values: str) -> None:
    """Add a copy of the host's own row of points with other values, each an SQL expression."""
    chosen = ", ".join(values.get(name, name) for name in COLUMNS)
    fleet.sql(
        "host_a", f"INSERT INTO profile_points ({', '.join(COLUMNS)}) SELECT {chosen} FROM profile_points LIMIT 1"
    )


TEXTS = [
    column.name
    for column in metadata.tables["profile_points"].c
    if str(column.type) == "TEXT" and column.name != "date"
]


@pytest.mark.parametrize("column", TEXTS)
def test_a_host_adds_no_text_of_any_length(fleet: FleetDatabase, column: str) -> None:
    copied(fleet)
    with pytest.raises(DBAPIError, match="policy"):
        copied(fleet, **{column: f"repeat('x', {70_000 if column == 'parameters' else 201})"})


@pytest.mark.parametrize(
    "column", ["name", "kernel", "operating_system", "cpu_model", "microarchitecture", "cpu_flags"]
)
def test_a_host_gives_itself_no_description_of_any_length(fleet: FleetDatabase, column: str) -> None:
    most = 200 if column == "name" else 65_536
    fleet.sql("host_a", f"UPDATE hosts SET {column} = repeat('x', {most})")
    for change in ("UPDATE hosts SET {0} = repeat('x', {1})", INSERTED):
        with pytest.raises(DBAPIError, match='policy "bounded" for table "hosts"'):
            fleet.sql("host_a", change.format(column, most + 1))


INSERTED = (
    "INSERT INTO hosts SELECT (jsonb_populate_record(hosts, jsonb_build_object('{0}', repeat('x', {1})))).* FROM hosts"
    " ON CONFLICT (id) DO UPDATE SET {0} = excluded.{0}"
)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("runs", "workload", "repeat('x', 65537)"),
        ("runs", "settings", "repeat('x', 65537)"),
        ("runs", "ended_ns", str(AFTER_2099)),
        ("runs", "ended_ns", "-1"),
        ("profiles", "workload", "repeat('x', 65537)"),
        ("profiles", "created_ns", str(AFTER_2099)),
    ],
)
def test_a_host_adds_no_run_or_profile_out_of_bounds(fleet: FleetDatabase, table: str, column: str, value: str) -> None:
    names = list(metadata.tables[table].c.keys())
    chosen = ", ".join(value if name == column else name for name in names)
    with pytest.raises(DBAPIError, match=f'policy "bounded" for table "{table}"'):
        fleet.sql("host_a", f"INSERT INTO {table} SELECT {chosen} FROM {table}")


@pytest.mark.parametrize(
    "values",
    [
        {"date": "'zzz'"},
        {"date": "'2023-11-15'"},
        {"month": "'2023-12'"},
        {"created_ns": f"{AFTER_2099}", "date": "'2100-01-01'", "month": "'2100-01'"},
        {"created_ns": "-1", "date": "'1969-12-31'", "month": "'1969-12'"},
    ],
)
def test_the_day_of_a_row_follows_from_its_time_between_1970_and_2099(
    fleet: FleetDatabase, values: dict[str, str]
) -> None:
    copied(fleet, created_ns=f"{AFTER_2099 - 1}", date="'2099-12-31'", month="'2099-12'")
    with pytest.raises(DBAPIError, match="policy"):
        copied(fleet, **values)


FACTS = ("workload", "model", "precision", "unit", "hardware", "engine", "boundary", "energy_source", "currency")


@pytest.mark.parametrize("column", [*FACTS, "cost_basis", "work", "cost_group"])
def test_a_host_gives_the_costs_of_others_no_other_facts(fleet: FleetDatabase, column: str) -> None:
    with pytest.raises(DBAPIError, match='policy "derived"'):
        copied(fleet, **{column: "7" if column in {"work", "cost_group"} else "'other'"})


def test_a_row_with_other_facts_makes_a_group_of_its_own(fleet: FleetDatabase) -> None:
    names = ("workload", "model", "precision", "unit", "hardware", "engine", "boundary", "energy_source", "currency")
    with fleet_query(fleet.engine(OWNER), PointFilter()) as query:
        before = query.costs(("hardware", "engine"))
    for name in names:
        facts = ", ".join(f"'{name}!'" if each == name else each for each in (*names, "cost_basis"))
        copied(fleet, **{name: f"'{name}!'", "cost_group": f"fleet_digest(work, ARRAY[{facts}])"})
    with fleet_query(fleet.engine(OWNER), PointFilter()) as query:
        after = query.costs(("hardware", "engine"))
    assert [group for group in before if group not in after] == []
    assert len(after) > len(before)


def test_an_honest_row_with_any_text_is_added(fleet: FleetDatabase) -> None:
    document = document_of("a", 1)
    document["workload"]["name"] = ODD
    document["workload"]["settings"]["model"] = ODD
    document["host"]["name"] = document["engine"]["name"] = "é" * 300
    document["host"]["cpu_model"] = "😀" * 300
    document["host"]["labels"] = {"site": "😀" * 300}
    document["points"][0]["cost"]["currency"] = ODD
    done = fleet.place("host_a").add([document], anonymized=False)
    assert (done.uids, done.refused) == (["a-1"], [])
    assert (ODD,) in fleet.sql(OWNER, "SELECT workload FROM profile_points")


def test_a_long_name_in_a_database_without_these_limits_is_cut(fleet: FleetDatabase) -> None:
    fleet.sql(OWNER, "UPDATE hosts SET name = repeat('x', 1000) WHERE id = 'import-id-of-a'")
    place = fleet.place(OWNER)
    assert sorted(len(host.name) for host in place.hosts(lambda _: None)) == [1, 200]
    assert sorted(len(key.host_name) for key in place._store.keys()) == [1, 200]  # noqa: SIM118
