"""The queries of a fleet against values from its points, for each kind of database."""

from __future__ import annotations

import math
from statistics import fmean, variance
from typing import TYPE_CHECKING

import pytest

from fleet_points import fleet, machine_named
from store.fleet_filter import PointFilter
from store.fleet_query import fleet_query

if TYPE_CHECKING:
    from sqlalchemy import Engine


def assert_queries(engine: Engine) -> None:
    """Assert that a database with `fleet(6, 8)` answers each query with the values of these points."""
    points = fleet(6, 8)
    hosts = sorted({each.host_name for each in points})
    own = {host: [each for each in points if each.host_name == host] for host in hosts}
    logs = {host: [math.log(each.joules_per_unit) for each in own[host]] for host in hosts}
    with fleet_query(engine, PointFilter()) as query:
        span, [cost] = query.span(), query.costs(("hardware", "site", "month"))
        siblings, series = query.siblings(0.001), query.series(6, 1000, 0.0)
        machines = query.machines([(each.setup, each.host_id) for each in siblings])
        assert query.tested == {"siblings": 6, "series": 6}
    assert span == (6, 48, "2026-01-01", "2026-01-08", 0, 0)
    first = points[0]
    assert cost.values == (first.hardware, "ams", "2026-01")
    assert (cost.hosts, cost.profiles) == (6, 48)
    means = [fmean(each.joules_per_unit for each in own[host]) for host in hosts]
    assert cost.joules == (6, *map(pytest.approx, (fmean(means), variance(means), fmean(means), fmean(means))))
    half = fmean(means) / 2
    assert cost.cost == (6, *map(pytest.approx, (half, variance(means) / 4, half, half)))
    assert [each.host_id for each in siblings] == [f"id-of-{host}" for host in hosts]
    for each, host in zip(siblings, hosts, strict=True):
        assert (each.setup, each.days, each.mean) == (11, 8, pytest.approx(fmean(logs[host])))
        assert each.variance == pytest.approx(variance(logs[host]), rel=1e-6)
        assert machines[11, each.host_id] == machine_named(host)
    assert sorted(each.machine.host for each in series) == hosts
    for each in series:
        assert each.logs == pytest.approx(tuple(logs[each.machine.host]))
        assert each.times_ns == tuple(point.created_ns for point in own[each.machine.host])
