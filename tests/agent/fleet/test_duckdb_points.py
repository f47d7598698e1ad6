"""The table of DuckDB has the points, and the queries of the page run on it."""

from __future__ import annotations

import re
from dataclasses import asdict
from itertools import islice

import pytest

from agent.fleet.duckdb_points import answer, points_table
from command import ROOT
from fleet_points import fleet, machine, point
from store.profile_point import PROFILE_POINT_COLUMNS

QUERIES = re.findall(r"```sql\n(.+?)```", (ROOT / "docs/fleet-views.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def connection():
    points = [*fleet(5, 40), *machine("hot", [3.0, 3.1]), point("far", site="fra", joules=1.0)]
    opened = points_table(points)
    yield opened
    opened.close()


def test_the_table_has_every_column_and_value():
    points = [point("a", setup=-(2**63)), point("b", joules=None)]
    connection = points_table(iter(points))
    columns, rows = answer(connection, "SELECT * FROM points")
    assert tuple(columns) == PROFILE_POINT_COLUMNS
    assert rows == [tuple(asdict(each).values()) for each in points]
    connection.close()


def test_more_points_than_one_batch_are_all_in_the_table(monkeypatch):
    monkeypatch.setattr("agent.fleet.duckdb_points._ROWS_AT_ONCE", 3)
    connection = points_table(islice(fleet(4, 2), 7))
    assert answer(connection, "SELECT count(*) FROM points") == (["count_star()"], [(7,)])
    connection.close()


def test_the_three_queries_of_the_page_have_an_answer(connection):
    assert len(QUERIES) == 3
    cheapest, energy, apart = (answer(connection, each) for each in QUERIES)
    columns, rows = cheapest
    assert columns == ["model", "precision", "site", "hardware", "cost", "currency"]
    assert [row[2] for row in rows] == ["fra", "ams"]
    assert rows[0][4] == 0.5
    columns, rows = energy
    assert columns == ["month", "engine", "engine_version", "point", "hosts", "kilowatt_hours"]
    assert [row[0] for row in rows] == ["2026-01", "2026-02"]
    assert rows[1][4:] == (5, pytest.approx(2 / 3.6, rel=0.05))
    columns, rows = apart
    assert rows[0][0] == "hot"
    assert rows[0][3] == pytest.approx(1.5, rel=0.05)


def test_an_error_of_the_query_is_a_value_error(connection):
    with pytest.raises(ValueError, match="Binder Error"):
        answer(connection, "SELECT nothing FROM points")


def test_no_extension_is_installed_from_the_network(connection):
    setting = "SELECT current_setting('autoinstall_known_extensions')"
    assert answer(connection, setting)[1] == [(False,)]
