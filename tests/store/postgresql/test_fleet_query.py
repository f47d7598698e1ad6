"""The queries of a fleet in PostgreSQL are those of SQLite."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from fleet_points import fleet, point
from fleet_queries import assert_queries
from store import schema
from store.fleet_filter import PointFilter
from store.fleet_query import fleet_query
from store.records import Profile, Run, RunStatus
from store.rows import stored_row
from store.writer import Writer

pytestmark = pytest.mark.system


@pytest.mark.parametrize("end", ["", "_lower", "_upper"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308, 1e-320])
def test_a_row_whose_numbers_would_stop_a_view_is_refused(engine, host, number, end):
    with pytest.raises(IntegrityError, match="profile_points_range"):
        store_points(engine, host, [point("a", 0, **{f"joules_per_unit{end}": number})])


def test_the_ends_of_the_range_stop_no_view(engine, host):
    ends = [point(f"odd{at}", day, number) for at, number in enumerate((1e30, -1e30, 1e-29, 0.0)) for day in range(8)]
    store_points(engine, host, [*fleet(6, 8), *ends])
    with fleet_query(engine, PointFilter()) as query:
        assert query.costs(("hardware", "site"))[0].hosts == 10
        query.siblings(0.0)
        query.series(6, 1000, 0.05)
        assert query.tested == {"siblings": 7, "series": 7}


def test_the_queries_of_a_fleet_have_the_values_of_its_points(engine, host):
    store_points(engine, host, fleet(6, 8))
    assert_queries(engine)


def store_points(engine, host, points):
    writer = Writer(engine)
    writer.register(host, [], "profile", 1)
    for each in points:
        run = Run(each.profile_id, host.id, writer.recording, "w", "{}", RunStatus.COMPLETE, 1, 2)
        writer.save_run(run)
        writer.save_profile(Profile(run.id, run.id, each.created_ns, "w", "{}"))
    with engine.begin() as connection:
        rows = [stored_row(schema.profile_points, asdict(each)) for each in points]
        connection.execute(insert(schema.profile_points), rows)
