"""Groups of points over many hosts, in SQLite; tests/store/postgresql has the same in PostgreSQL."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from fleet_points import DAY_NS, EPYC, START_NS, XEON, fleet, machine, point
from fleet_queries import assert_queries
from store.fleet_filter import DIMENSIONS, FILTERS, FIXED_DIMENSIONS, PointFilter
from store.fleet_query import fleet_query
from store.points_in_memory import points_in_memory

ALL = PointFilter()


def test_the_queries_of_a_fleet_have_the_values_of_its_points():
    with points_in_memory(fleet(6, 8)) as engine:
        assert_queries(engine)


def test_a_fleet_without_points_has_no_hosts():
    with points_in_memory([]) as engine, fleet_query(engine, ALL) as query:
        assert query.span() == (0, 0, "", "", 0, 0)
        assert query.costs(("hardware",)) == []
        assert (query.siblings(0.1), query.series(6, 10, 0.0)) == ([], [])
        assert query.tested == {"siblings": 0, "series": 0}


def test_the_extent_counts_hosts_without_energy():
    points = [point("a"), point("a", 3), point("b", 1, joules=None), point("b", 2, joules=None)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        assert query.span() == (2, 4, "2026-01-01", "2026-01-04", 1, 0)


def test_the_extent_counts_anonymous_profiles_as_one_host():
    unmeasured = [point("anonymous", day, None, host_id=f"anonymous-{day}") for day in range(3)]
    for more, without in (([], 1), ([point("anonymous", 3, host_id="anonymous-3")], 0)):
        with points_in_memory([point("a"), *unmeasured, *more]) as engine, fleet_query(engine, ALL) as query:
            span = query.span()
        assert (span.hosts, span.without_energy, span.anonymous) == (2, without, 3 + len(more))


def test_a_filter_chooses_points_by_time_and_by_each_property():
    other = {
        "hardware": XEON,
        "engine": "ollama",
        "site": "fra",
        "rack": "r2",
        "owner": "ads",
        "workload": "transformer",
        "model": "m",
        "precision": "int8",
        "point": "rate=1",
        "currency": "USD",
    }
    points = [point("a"), point("b", 9, **other)]
    with points_in_memory(points) as engine:

        def hosts(**choice):
            with fleet_query(engine, PointFilter(**choice)) as query:
                return query.span().hosts, query.span().first

        assert hosts() == (2, "2026-01-01")
        assert hosts(since_ns=START_NS + 9 * DAY_NS) == (1, "2026-01-10")
        assert hosts(since_ns=START_NS + 9 * DAY_NS + 1) == (0, "")
        values = {**other, "host": "b"}
        assert set(FILTERS) == set(values)
        for name, value in values.items():
            assert hosts(values=((name, value),)) == (1, "2026-01-10"), name
        assert hosts(values=(("site", "fra"), ("host", "a"))) == (0, "")


@pytest.mark.parametrize("name", DIMENSIONS)
def test_costs_are_grouped_by_each_property(name):
    facts = {"hardware": XEON, "engine": "ollama", "site": "fra", "rack": "r2", "owner": "ads"}
    number = {"day": 1, "month": 31}.get(name, 0)
    change = {name: facts[name]} if name in facts else {}
    change |= {"setup": 12} if name in FIXED_DIMENSIONS else {}
    points = [point("a"), point("b" if name == "host" else "a", number, **change)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        found = query.costs((name,))
    values = {each.values[0] for each in found}
    first, second = points[0], points[1]
    expected = {
        "host": {"a", "b"},
        "day": {first.date, second.date},
        "month": {first.date[:7], second.date[:7]},
        **{each: {getattr(first, each), value} for each, value in facts.items()},
    }
    assert values == expected[name]
    assert len(values) == 2


def test_other_works_boundaries_sources_currencies_and_bases_are_groups_of_their_own():
    changes = [
        {},
        {"work": 2, "setup": 12},
        {"boundary": "components", "setup": 13},
        {"energy_source": "estimated", "setup": 14},
        {"currency": "USD"},
        {"cost_basis": "usage"},
    ]
    points = [point(f"h{at}", **change) for at, change in enumerate(changes)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        assert [each.hosts for each in query.costs(("hardware",))] == [1] * len(changes)


def test_a_cost_is_the_mean_of_the_means_of_hosts():
    points = [*machine("a", [2.0, 2.2, 2.4]), *machine("b", [4.0]), point("c", valid=False), point("d", joules=None)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        [group] = query.costs(("hardware",))
    assert (group.values, group.hosts, group.profiles, group.unit) == ((EPYC,), 3, 5, "output token")
    assert group.cost == (2, *map(pytest.approx, (1.55, 0.45**2 * 2, 1.55, 1.55)))
    assert group.joules == (2, *map(pytest.approx, (3.1, 0.9**2 * 2, 3.1, 3.1)))


@pytest.mark.parametrize("dimensions", [("hardware", "engine", "site"), ("site",)])
def test_a_host_with_several_setups_or_engines_counts_once(dimensions):
    points = [
        *machine("a", [2.0, 2.0, 2.0]),
        *machine("a", [5.0], setup=12, engine_version="0.12"),
        *machine("b", [4.0], setup=12, engine_version="0.12"),
    ]
    points += [point("a", 9, 9.0, setup=13, engine="ollama")] if "engine" not in dimensions else []
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        [group] = query.costs(dimensions)
    mean = 2.75 if "engine" in dimensions else 4.0
    assert (group.hosts, group.profiles) == (2, len(points))
    assert group.joules[:2] == (2, pytest.approx((mean + 4.0) / 2))


def test_anonymous_profiles_may_be_of_one_machine_and_count_as_one_host():
    anonymous = [point("anonymous", day, 3.0, host_id=f"anonymous-{day}") for day in range(8)]
    with points_in_memory([*machine("a", [2.0]), *anonymous]) as engine, fleet_query(engine, ALL) as query:
        [group] = query.costs(("hardware",))
        assert (group.hosts, group.profiles) == (2, 9)
        assert group.joules[:2] == (2, 2.5)
    tested = [each for host in "abc" for each in machine(host, [2.0, 2.0, 2.0])]
    with points_in_memory([*tested, *anonymous]) as engine, fleet_query(engine, ALL) as query:
        query.siblings(0.0)
        assert query.tested["siblings"] == 0


def test_the_bounds_of_profiles_are_averaged_like_their_figures_and_one_without_makes_them_unknown():
    ends = {"joules_per_unit_lower": 1.0, "joules_per_unit_upper": 6.0}
    wide = {"joules_per_unit_lower": 3.0, "joules_per_unit_upper": 8.0}
    points = [point("a", **ends), point("a", 1, **ends), point("b", 0, 4.0, **wide)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        [group] = query.costs(("hardware",))
    assert group.joules == (2, 3.0, 2.0, 2.0, 7.0)
    points.append(point("b", 1, 4.0, **{**wide, "joules_per_unit_upper": None}))
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        [group] = query.costs(("hardware",))
    assert group.joules == (2, 3.0, 2.0, 2.0, None)


def test_setups_of_one_work_and_hardware_are_one_group():
    points = [*machine("a", [2.0, 2.2]), *machine("b", [4.0], setup=12, engine_version="0.12"), point("c", setup=13)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        [group] = query.costs(("hardware", "engine", "site"))
    assert (group.values, group.hosts, group.profiles) == ((EPYC, "vllm", "ams"), 3, 4)
    assert group.joules[:3] == (3, pytest.approx((2.1 + 4.0 + 2.0) / 3), pytest.approx(1.27))


def test_work_without_tokens_has_the_cost_of_inferences():
    points = [point("a", joules=200.0, unit="inference", work=2, setup=12)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        [group] = query.costs(("hardware",))
    assert (group.unit, group.cost[:3], group.joules[:3]) == ("inference", (1, 100.0, None), (1, 200.0, None))


def test_only_machines_with_three_days_and_three_siblings_are_tested():
    base = [each for host in "abc" for each in machine(host, [2.0, 2.01, 2.02])]
    with points_in_memory(base) as engine, fleet_query(engine, ALL) as query:
        assert query.siblings(0.1) == []
        assert query.tested["siblings"] == 0
    days = [*machine("d", [3.0, 3.0]), point("d", 1, 3.1), point("d", 1, 3.0)]
    with points_in_memory([*base, *days]) as engine, fleet_query(engine, ALL) as query:
        assert query.siblings(0.1) == []
        assert query.tested["siblings"] == 0
    with points_in_memory([*base, *machine("d", [3.0, 3.0, 3.1])]) as engine, fleet_query(engine, ALL) as query:
        found = query.siblings(0.1)
        assert query.tested["siblings"] == 4
    assert [(each.host_id, each.days) for each in found] == [(f"id-of-{host}", 3) for host in "abcd"]


@pytest.mark.parametrize(("energy", "is_apart"), [(2.22, True), (2.18, False), (1.82, False), (1.78, True)])
def test_the_machines_of_a_setup_are_read_if_one_is_10_percent_above_or_below_the_others(energy, is_apart):
    equal = [each for setup in (11, 12) for host in "abcd" for each in machine(host, [2.0] * 3, setup=setup)]
    with points_in_memory([*equal, *machine("e", [energy] * 3)]) as engine, fleet_query(engine, ALL) as query:
        found = query.siblings(0.1)
        assert query.tested["siblings"] == 9
    assert [(each.setup, each.host_id) for each in found] == [(11, f"id-of-{host}") for host in "abcde"] * is_apart


def test_estimated_and_invalid_energies_have_no_siblings_and_no_series():
    points = fleet(6, 8)
    unfit = [*fleet(6, 8, energy_source="estimated", setup=12), *fleet(6, 8, valid=False, setup=13)]
    with points_in_memory([*points, *unfit]) as engine, fleet_query(engine, ALL) as query:
        query.siblings(0.0)
        assert len(query.series(6, 100, 0.0)) == 6
        assert query.tested == {"siblings": 6, "series": 6}


def test_series_are_those_of_the_clearest_change_in_the_order_of_time():
    flat, rising = machine("flat", [2.0, 2.0, 2.1, 2.0, 2.0, 2.0]), machine("rising", [2, 2.1, 2.2, 2.3, 2.4, 2.5])
    short = machine("short", [2, 3, 4, 5, 6])
    mixed = [*reversed(rising), *flat, *short]
    with points_in_memory(mixed) as engine, fleet_query(engine, ALL) as query:
        [found] = query.series(6, 1, 0.0)
        assert query.tested["series"] == 2
    assert found.machine.host == "rising"
    assert found.times_ns == tuple(each.created_ns for each in rising)
    assert found.logs == tuple(sorted(found.logs))
    assert found.versions == ("0.1.0",) * 6


def test_a_series_that_cannot_have_changed_by_a_share_is_not_read():
    def read(*energies):
        with points_in_memory(machine("a", energies)) as engine, fleet_query(engine, ALL) as query:
            found = query.series(6, 10, 0.05)
            assert (query.tested["series"], query.left_out.series) == (1, 0)
        return bool(found)

    assert read(2.0, 2.0, 2.0, 2.1001, 2.1001, 2.1001)
    assert read(*[2.0] * 9, 2.1001, 2.1001, 2.1001)
    assert not read(2.0, 2.0, 2.0, 2.0999, 2.0999, 2.0999)
    assert not read(*[0.1 + 0.2] * 9)


def noisy(host, series):
    source = random.Random(7)
    return [
        each
        for setup in range(100, 100 + series)
        for each in machine(host, [2.0 * source.uniform(0.3, 3.0) for _ in range(6)], setup=setup)
    ]


def test_noisy_series_do_not_hide_drift():
    drifted = machine("drifted", [2.0, 2.01, 1.99, 2.24, 2.25, 2.23])
    with points_in_memory([*noisy("crowd", 400), *drifted]) as engine, fleet_query(engine, ALL) as query:
        assert "drifted" in {each.machine.host for each in query.series(6, 40, 0.05)}
        assert query.tested["series"] == 401
        series, host, of_host = query.left_out
    assert (series, host, of_host) == (361, "crowd", 361)


def test_many_changes_of_one_host_do_not_hide_those_of_others():
    crowd = [each for setup in range(100, 160) for each in machine("crowd", [2, 2, 2, 8, 8, 8.01], setup=setup)]
    small = machine("small", [2.0, 2.03, 1.97, 2.24, 2.27, 2.21])
    with points_in_memory([*crowd, *small]) as engine, fleet_query(engine, ALL) as query:
        hosts = Counter(each.machine.host for each in query.series(6, 30, 0.05))
        assert hosts == {"crowd": 29, "small": 1}
        assert query.left_out == (31, "crowd", 31)
        assert len(query.series(6, 100, 0.05)) == 61
        assert query.left_out.series == 0


def test_profiles_of_one_day_are_one_value_of_their_geometric_mean():
    noon = START_NS + DAY_NS // 2
    again = [point("a", day, 8.0, created_ns=noon + day * DAY_NS, inferometer_version="0.2.0") for day in range(6)]
    with points_in_memory([*machine("a", [2.0] * 6), *again]) as engine, fleet_query(engine, ALL) as query:
        assert query.series(7, 10, 0.0) == []
        assert query.tested["series"] == 0
    again[-1] = point("a", 5, 32.0)
    with points_in_memory([*machine("a", [2.0] * 6), *again]) as engine, fleet_query(engine, ALL) as query:
        [found] = query.series(6, 10, 0.0)
    assert found.logs == pytest.approx((math.log(4.0),) * 5 + (math.log(8.0),))
    assert found.times_ns == tuple(START_NS + day * DAY_NS for day in range(6))
    assert found.versions == ("0.2.0",) * 5 + ("0.1.0",)


@pytest.mark.parametrize("joules", [0.0, -1.0])
def test_energies_without_a_logarithm_are_no_values(joules):
    points = [*fleet(6, 8), *machine("odd", [joules] * 8)]
    with points_in_memory(points) as engine, fleet_query(engine, ALL) as query:
        query.siblings(0.0)
        query.series(6, 10, 0.0)
        assert query.tested == {"siblings": 6, "series": 6}


def test_a_machine_is_named_by_its_newest_profile():
    points = [each for host in "abc" for each in machine(host, [2.0, 2.01, 2.02])]
    points += [*machine("d", [3.0, 3.0]), point("d", 2, 3.0, host_name="new-name", rack="r9")]
    with points_in_memory(points[::-1]) as engine, fleet_query(engine, ALL) as query:
        [found] = query.machines([(11, "id-of-d")]).values()
    assert (found.host, found.rack) == ("new-name", "r9")
