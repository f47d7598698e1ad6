"""The table of DuckDB has the points, and the queries of the page run on it."""

from __future__ import annotations

import re
from dataclasses import asdict
from itertools import islice

import pytest

from agent.fleet.duckdb_points import answer, points_table
from command import ROOT
from fleet_points import EPYC, XEON, fleet, machine, point
from store.profile_point import PROFILE_POINT_COLUMNS

QUERIES = re.findall(r"```sql\n(.+?)```", (ROOT / "docs/fleet-views.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def connection():
    points = [*fleet(5, 40), *machine("hot", [3.0, 3.1]), point("far", site="fra", joules=1.0)]
    opened = points_table(points, print)
    yield opened
    opened.close()


def test_the_table_has_every_column_and_value():
    points = [point("a", setup=-(2**63)), point("b", joules=None)]
    connection = points_table(iter(points), print)
    columns, rows = answer(connection, "SELECT * FROM points")
    assert tuple(columns) == PROFILE_POINT_COLUMNS
    assert rows == [tuple(asdict(each).values()) for each in points]
    connection.close()


def test_more_points_than_one_batch_are_all_in_the_table(monkeypatch):
    monkeypatch.setattr("agent.fleet.duckdb_points._ROWS_AT_ONCE", 3)
    connection = points_table(islice(fleet(4, 2), 7), print)
    assert answer(connection, "SELECT count(*) FROM points") == (["count_star()"], [(7,)])
    connection.close()


def test_a_point_that_no_column_holds_is_refused_by_name_and_the_others_are_in_the_table():
    refused = []
    connection = points_table(
        [point("a"), point("b", watts=(1 << 53) + 1), point("c", repeats=1 << 70)], refused.append
    )
    assert answer(connection, "SELECT profile_id FROM points")[1] == [("a-0",)]
    assert [each.name for each in refused] == ["b-0", "c-0"]
    connection.close()


def test_two_columns_of_one_name_are_refused(connection):
    twice = "SELECT a.host_id, b.host_id FROM points a JOIN points b USING (profile_id)"
    with pytest.raises(ValueError, match=r"several columns have the name 'host_id'\. Name each with AS"):
        answer(connection, twice)


def rows_of(query, points):
    connection = points_table(points, print)
    columns, rows = answer(connection, query)
    connection.close()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_the_cheapest_hardware_is_that_of_the_mean_of_hosts_and_never_across_currencies_or_bases():
    assert len(QUERIES) == 3
    epyc = [*machine("a", [2.0] * 9), *machine("b", [4.0], 0, setup=12, engine_version="0.12")]  # 1.5 EUR
    xeon = [*machine("c", [0.2, 4.0], hardware=XEON, setup=13), point("d", 0, 4.0, hardware=XEON, setup=13)]  # 1.525
    traps = [
        point("c", 3, 0.1, valid=False, hardware=XEON, setup=13),
        point("e", 0, None, hardware=XEON, setup=13),
        point("f", 0, 0.1, work=2, setup=14, point="rate=1", hardware=XEON),
        *(point("g", 0, 0.1, setup=15, hardware=XEON, **{name: value}) for name, value in OTHER.items()),
        point("h", 0, 0.1, hardware=XEON, setup=13, site="fra"),
    ]
    rows = rows_of(QUERIES[0], [*epyc, *xeon, *traps])
    expected = {"site": "ams", "point": "rate=8", "currency": "EUR", "cost_basis": "allocation", "boundary": "wall"}
    expected |= {"energy_source": "measured", "unit": "output token"}
    [found] = [row for row in rows if expected.items() <= row.items()]
    assert (found["hardware"], found["hosts"], found["cost"]) == (EPYC, 2, 1.5)
    assert len(rows) == 1 + 1 + len(OTHER) + 1


OTHER = {"currency": "USD", "cost_basis": "usage, energy alone", "boundary": "components", "energy_source": "estimated"}


def test_the_energy_by_month_is_of_tokens_on_one_setup_with_each_host_once():
    january = [*machine("a", [2.0] * 9), *machine("b", [4.0])]
    february = [point("a", 31, 3.0), point("b", 40, 3.2, engine_version="0.12", setup=12)]
    traps = [
        point("a", 2, 90.0, valid=False),
        point("a", 3, None),
        point("c", 0, 900.0, unit="inference", work=2, setup=21),
        point("d", 0, 90.0, setup=22, energy_source="estimated"),
        point("e", 0, 90.0, setup=23, hardware=XEON),
        point("f", 0, 90.0, setup=24, boundary="components"),
        point("g", 0, 90.0, setup=25, work=3),  # another length of the prompts
    ]
    rows = rows_of(QUERIES[1], [*january, *february, *traps])
    found = [
        (row["month"], row["engine_version"], row["hosts"], row["kilowatt_hours"])
        for row in rows
        if row["kilowatt_hours"] < 2
    ]
    assert found == [
        ("2026-01", "0.11", 2, round(3.0 / 3.6, 3)),
        ("2026-02", "0.11", 1, round(3.0 / 3.6, 3)),
        ("2026-02", "0.12", 1, round(3.2 / 3.6, 3)),
    ]
    assert len(rows) == len(found) + 3


def test_machines_are_compared_with_the_median_of_their_own_setup_by_days():
    siblings = [each for host in "abcd" for each in machine(host, [2.0, 2.0, 2.0])]
    hot = [*machine("hot", [3.0, 3.0]), *(point("hot", 2, 3.0) for _ in range(20))]
    traps = [
        *machine("mild", [2.0, 2.0, 2.0]),
        *(point("mild", 3, 9.0) for _ in range(20)),  # one bad day of many profiles
        *machine("two-days", [9.0, 9.0]),
        *machine("few", [9.0] * 3, setup=12),
        *machine("few-too", [1.0] * 3, setup=12),
        *machine("model", [9.0] * 3, setup=13, energy_source="estimated"),
        point("a", 5, 90.0, valid=False),
        point("a", 5, 0.0),
    ]
    rows = rows_of(QUERIES[2], [*siblings, *hot, *traps])
    assert [(row["host_name"], row["ratio"], row["days"]) for row in rows[:2]] == [
        ("hot", 1.5, 3),
        ("mild", pytest.approx((9.0 / 2.0) ** 0.25, abs=1e-3), 4),
    ]
    assert {row["host_name"] for row in rows} == {"hot", "mild", *"abcd"}


def test_an_error_of_the_query_is_a_value_error(connection):
    with pytest.raises(ValueError, match="Binder Error"):
        answer(connection, "SELECT nothing FROM points")


@pytest.mark.parametrize("query", ["", ";", "/* c */"])
def test_a_query_without_a_statement_is_a_value_error(connection, query):
    with pytest.raises(ValueError, match="the query has no statement"):
        answer(connection, query)


def test_a_time_that_is_too_long_is_a_value_error(connection):
    assert answer(connection, "SELECT CAST(INTERVAL 1000000000 DAY AS VARCHAR)")[1] == [("1000000000 days",)]
    with pytest.raises(ValueError, match=r"too long to be shown\. Cast it"):
        answer(connection, "SELECT INTERVAL 1000000000 DAY")


def test_no_extension_is_installed_from_the_network(connection):
    setting = "SELECT current_setting('autoinstall_known_extensions')"
    assert answer(connection, setting)[1] == [(False,)]
