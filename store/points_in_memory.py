"""A database in memory with the points of profiles that are in no store, such as those of a folder of bundles."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.pool import StaticPool

from store.schema import profile_points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from store.profile_point import ProfilePoint

_ROWS_AT_ONCE = 1000


@contextmanager
def points_in_memory(points: Iterable[ProfilePoint]) -> Iterator[Engine]:
    """Open a database with the table `profile_points` alone, for the queries of `store.fleet_query`."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.begin() as connection:
            profile_points.create(connection)
            waiting = iter(points)
            while rows := [asdict(each) for each in islice(waiting, _ROWS_AT_ONCE)]:
                connection.execute(insert(profile_points), rows)
        yield engine
    finally:
        engine.dispose()
