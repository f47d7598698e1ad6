"""Profiles of one day are alike: the tests of a fleet take a day as one value, or healthy machines have drift."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from agent.comparison.fleet_drift import FEWEST_DAYS, drifts
from agent.comparison.fleet_outliers import OUTLIER_SHARE, machines_apart
from fleet_points import DAY_NS, START_NS, machine, machine_named, point
from store.fleet_filter import PointFilter
from store.fleet_query import fleet_query
from store.fleet_records import EnergySeries
from store.points_in_memory import points_in_memory

if TYPE_CHECKING:
    from store.profile_point import ProfilePoint

HOSTS, DAYS, REPEATS = 60, 8, 6
_HOUR_NS = DAY_NS // 24


def unchanged(host: str, source: random.Random) -> list[ProfilePoint]:
    """Return the profiles of a machine without a change: its days differ by 6 %, the repetitions of a day by 0.5 %."""
    found = []
    for day in range(DAYS):
        mean = 2.0 * source.gauss(1, 0.06)
        found += [
            point(host, day, mean * source.gauss(1, 0.005), created_ns=START_NS + day * DAY_NS + run * _HOUR_NS)
            for run in range(REPEATS)
        ]
    return found


def series_of_profiles(points: list[ProfilePoint]) -> EnergySeries:
    """Return every profile as a value of its own."""
    logs = tuple(math.log(each.joules_per_unit or math.nan) for each in points)
    return EnergySeries(
        machine_named(points[0].host_name), tuple(each.created_ns for each in points), logs, ("0.1.0",) * len(points)
    )


def test_days_that_differ_are_drift_if_profiles_are_taken_as_independent_and_not_if_days_are() -> None:
    source = random.Random(5)
    fleet = [unchanged(f"n{number}", source) for number in range(HOSTS)]
    with points_in_memory(each for own in fleet for each in own) as engine, fleet_query(engine, PointFilter()) as query:
        by_day = query.series(FEWEST_DAYS, HOSTS, 0.0)
    assert [len(each.logs) for each in by_day] == [DAYS] * HOSTS
    assert sum(bool(drifts([series_of_profiles(own)], 1)) for own in fleet) > HOSTS / 3
    assert sum(bool(drifts([each], 1)) for each in by_day) <= HOSTS / 20


def test_a_bad_day_of_many_profiles_does_not_make_an_outlier() -> None:
    fleet = [each for host in "abcdef" for each in machine(host, [2.0, 2.02, 1.98, 2.01])]
    bad = [*machine("bad", [2.0, 2.0, 2.0]), *(point("bad", 3, 2.6 + 0.001 * run) for run in range(20))]
    with points_in_memory([*fleet, *bad]) as engine, fleet_query(engine, PointFilter()) as query:
        assert machines_apart(query.siblings(OUTLIER_SHARE), query.tested["siblings"]) == []
        [found] = [each for each in query.siblings(0.0) if each.host_id == "id-of-bad"]
    assert (found.days, query.tested["siblings"]) == (4, 7)
