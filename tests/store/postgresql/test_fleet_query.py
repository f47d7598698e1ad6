"""The queries of a fleet in PostgreSQL are those of SQLite."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from sqlalchemy import insert

from fleet_points import fleet
from fleet_queries import assert_queries
from store import schema
from store.records import Profile, Run, RunStatus
from store.rows import stored_row
from store.writer import Writer

pytestmark = pytest.mark.system


def test_the_queries_of_a_fleet_have_the_values_of_its_points(engine, host):
    writer = Writer(engine)
    writer.register(host, [], "profile", 1)
    points = fleet(6, 8)
    for each in points:
        run = Run(each.profile_id, host.id, writer.recording, "w", "{}", RunStatus.COMPLETE, 1, 2)
        writer.save_run(run)
        writer.save_profile(Profile(run.id, run.id, each.created_ns, "w", "{}"))
    with engine.begin() as connection:
        rows = [stored_row(schema.profile_points, asdict(each)) for each in points]
        connection.execute(insert(schema.profile_points), rows)
    assert_queries(engine)
