"""Groups the points of many profiles in the database: costs of machines, energies of siblings, series of a machine."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, Float, Text, and_, case, column, func, or_, select, text, true, values

from store.engines import snapshot_engine
from store.error_messages import translate_errors
from store.fleet_costs import ANONYMOUS, costs_of, number
from store.fleet_groups import cost_group, variance_of
from store.fleet_records import NOTHING_LEFT_OUT, EnergySeries, FleetSpan, HostEnergy, LeftOut, Machine
from store.profile_point import MEASURED
from store.schema import profile_points

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlalchemy import CTE, Connection, Engine, Select

    from store.fleet_filter import PointFilter
    from store.fleet_records import CostGroup

_p, _q = profile_points.c, profile_points.alias("q")
_DAY_NS = 86_400 * 10**9
_FEWEST_SIBLINGS = 3
_FEWEST_DAYS = 3
_KEYS_AT_ONCE = 500
_MOST_OF_HOST = 20
_LEAST_REST = 1e-9
"""The share of the squares that a straight line leaves at least: rounding makes less, or even negative ones."""
_SETTINGS = {
    "work_mem": "'256MB'",  # the default writes such groups to disk
    "jit": "off",  # compiling takes longer than the query
    "max_parallel_workers_per_gather": "0",  # one index in its order takes less time than two processes without order
    "random_page_cost": "1.1",  # so that it reads that index
}
_MACHINE = (
    "host_name",
    "hardware",
    "site",
    "rack",
    "work",
    "workload",
    "model",
    "precision",
    "engine",
    "engine_version",
    "point",
)
_EPOCH_DAYS = 20_000
"""Days from 1970 to 2024: times are counted from there, so that their squares lose no digits."""


@dataclass(slots=True)
class FleetQuery:
    """Queries one state of a store; `tested` counts the groups that a query examined, by its name.

    `left_out` are the series that may have changed and that `series` did not return.
    """

    connection: Connection
    wanted: PointFilter
    tested: dict[str, int] = field(default_factory=dict)
    left_out: LeftOut = NOTHING_LEFT_OUT

    def span(self) -> FleetSpan:
        """Return the extent of the fleet; the machines of anonymous profiles are unknown, and count as one host."""
        hosts = (
            select(
                _p.host_id,
                func.count().label("points"),
                func.min(_p.date).label("first"),
                func.max(_p.date).label("last"),
                func.count(_p.joules_per_unit).label("measured"),
            )
            .where(self.wanted.condition())
            .group_by(_p.host_id)
            .subquery()
        )
        is_anonymous = hosts.c.host_id.like(ANONYMOUS)
        host = case((is_anonymous, ANONYMOUS), else_=hosts.c.host_id)
        row = self.connection.execute(
            select(
                func.count(host.distinct()),
                func.coalesce(func.sum(hosts.c.points), 0),
                func.coalesce(func.min(hosts.c.first), ""),
                func.coalesce(func.max(hosts.c.last), ""),
                func.count(host.distinct()) - func.count(case((hosts.c.measured > 0, host)).distinct()),
                func.count(case((is_anonymous, 1))),
            ).select_from(hosts)
        ).one()
        return FleetSpan(int(row[0]), int(row[1]), row[2], row[3], int(row[4]), int(row[5]))

    def costs(self, dimensions: Sequence[str]) -> list[CostGroup]:
        """Return the costs and energies of machines by work and by these dimensions; a host counts once in each."""
        rows = self.connection.execute(costs_of(self.wanted.condition(), dimensions)).mappings()
        return [cost_group(row, dimensions) for row in rows]

    def siblings(self, at_least: float) -> list[HostEnergy]:
        """Return the energies of hosts in each setup that has one this share above or below the mean of the others.

        Only measured energies count: the errors of a model of the power differ between machines. The values of a
        machine are those of its days. Machines with three days are compared, among themselves, and four of one setup
        or more; `tested["siblings"]` is their number. Anonymous profiles are of no known machine, and left out, of
        groups and not of millions of rows.
        """
        days = self._days().subquery("days")
        hosts = self._hosts(days, func.sum(days.c.log * days.c.log).label("q")).having(
            func.count() >= _FEWEST_DAYS, days.c.host_id.not_like(ANONYMOUS)
        )
        known = hosts.cte("hosts")
        count, mean = number(), func.sum(known.c.mean) / number()
        groups = (
            select(
                known.c.setup,
                func.count().label("hosts"),
                (count / (count - 1) * (func.max(known.c.mean) - mean)).label("above"),
                (count / (count - 1) * (func.min(known.c.mean) - mean)).label("below"),
            )
            .group_by(known.c.setup)
            .having(func.count() > _FEWEST_SIBLINGS)
            .cte("groups")
        )
        apart = or_(groups.c.above >= math.log1p(at_least), groups.c.below <= math.log1p(-at_least))
        found = select(known).join(groups, groups.c.setup == known.c.setup).where(apart).cte("found")
        total = select(func.coalesce(func.sum(groups.c.hosts), 0).label("tests")).cte("total")
        rows = self.connection.execute(
            select(total.c.tests, found).select_from(total.outerjoin(found, true())).order_by(found.c.host_id)
        ).all()
        self.tested["siblings"] = int(rows[0].tests)
        return [
            HostEnergy(each.setup, each.host_id, int(each.n), each.mean, variance_of(each.q, each.mean, int(each.n)))
            for each in rows
            if each.host_id is not None
        ]

    def machines(self, keys: Collection[tuple[int, str]]) -> dict[tuple[int, str], Machine]:
        """Return the machine of each setup and host, as its newest profile names it."""
        newest = select(_q.c.id).where(text(MEASURED)).order_by(_q.c.date.desc()).limit(1)
        found: dict[tuple[int, str], Machine] = {}
        for part in _parts(keys):
            example = newest.where(_q.c.setup == part.c.setup, _q.c.host_id == part.c.host_id).correlate(part)
            examples = select(part, example.scalar_subquery().label("example")).cte("examples")
            columns = [profile_points.c[each] for each in _MACHINE]
            rows = self.connection.execute(
                select(examples.c.setup, examples.c.host_id, *columns).join_from(
                    examples, profile_points, _p.id == examples.c.example
                )
            ).mappings()
            found |= {(row["setup"], row["host_id"]): _machine(dict(row)) for row in rows}
        return found

    def series(self, fewest: int, most: int, at_least: float) -> list[EnergySeries]:
        """Return the series of `fewest` days or more, up to `most`, whose energy can have changed by `at_least`.

        Two parts of at least half of `fewest` days that differ by that share have a certain sum of squares; series that
        scatter less are left out, since no split finds more. The others come in the order of the t of a straight
        line, the change over its error; after 20 of one host those of other hosts, so that one cannot hide them all.
        `tested["series"]` is the number of all series of that length, and `left_out` has those with more than `most`.
        """
        days = self._days((func.min(_p.created_ns) / float(_DAY_NS) - _EPOCH_DAYS).label("day")).subquery("days")
        log, day = days.c.log, days.c.day
        sums = {"t": day, "tt": day * day, "ts": day * log, "q": log * log}
        hosts = self._hosts(days, *(func.sum(value).label(name) for name, value in sums.items())).having(
            func.count() >= fewest, days.c.host_id.not_like(ANONYMOUS)
        )
        known = hosts.cte("known")
        changing = _changing(known, fewest / 2, at_least)
        host, best = changing.c.host_id, (changing.c.t.desc(), changing.c.setup)
        counted = select(
            changing,
            func.row_number().over(partition_by=host, order_by=best).label("rank"),
            func.count().over(partition_by=host).label("own"),
            func.count().over().label("every"),
        ).cte("counted")
        crowding = case((counted.c.rank > _MOST_OF_HOST, 1), else_=0)
        order = (crowding, counted.c.t.desc(), counted.c.host_id, counted.c.setup)
        found = select(counted).order_by(*order).limit(most).cte("found")
        total = select(func.count().label("tests")).select_from(known).cte("total")
        rows = self.connection.execute(select(total.c.tests, found).select_from(total.outerjoin(found, true()))).all()
        self.tested["series"] = rows[0].tests
        chosen = [each for each in rows if each.host_id is not None]
        machines = self.machines([(each.setup, each.host_id) for each in chosen])
        self.left_out = _left_out(chosen, machines)
        return self._series(machines)

    def _days(self, *more: ColumnElement[Any]) -> Select[Any]:
        """Return the mean logarithm of the energy of each host in each setup on each day, and more.

        Repetitions of one day are alike, so a test takes them as one value.
        """
        return (
            select(
                *(_p.setup, _p.host_id, (func.sum(func.ln(_p.joules_per_unit)) / number()).label("log")),
                *more,
            )
            .where(text(MEASURED), self.wanted.condition())
            .group_by(_p.setup, _p.host_id, _p.date)
        )

    def _hosts(self, days: Any, *more: ColumnElement[Any]) -> Select[Any]:
        """Return the number of days of each host in each setup (n), the mean of their logarithms, and more."""
        mean = (func.sum(days.c.log) / number()).label("mean")
        keys = (days.c.setup, days.c.host_id)
        return select(*keys, number().label("n"), mean, *more).group_by(*keys)

    def _series(self, machines: Mapping[tuple[int, str], Machine]) -> list[EnergySeries]:
        found = []
        for part in _parts(machines):
            columns = (_p.setup, _p.host_id, _p.date, _p.created_ns, _p.joules_per_unit, _p.inferometer_version)
            rows = self.connection.execute(
                select(*columns)
                .join_from(part, profile_points, and_(_p.setup == part.c.setup, _p.host_id == part.c.host_id))
                .where(text(MEASURED), self.wanted.condition())
                .order_by(_p.setup, _p.host_id, _p.created_ns, _p.inferometer_version)
            ).all()
            own: dict[tuple[int, str], dict[str, list[Any]]] = {}
            for row in rows:
                own.setdefault((row.setup, row.host_id), {}).setdefault(row.date, []).append(row)
            found += [_energy_series(machines[key], list(days.values())) for key, days in own.items()]
        return found


def _changing(known: CTE, least: float, at_least: float) -> CTE:
    """Return the series of which two parts of `least` days or more can differ by a share, with t² of their lines."""
    own = known.c
    squares = own.q - own.n * own.mean * own.mean
    times = own.tt - own.t * own.t / own.n
    rise = own.ts - own.t * own.mean
    line = func.coalesce(rise * rise / func.nullif(times, 0.0, type_=Float), 0.0)
    least_rest = _LEAST_REST * squares
    rest = case((squares - line > least_rest, squares - line), else_=least_rest)
    needed = least * (1 - least / own.n) * math.log1p(at_least) ** 2
    t = line * (own.n - 2) / rest
    can_change = squares > needed * (1 - _LEAST_REST)
    return select(own.setup, own.host_id, t.label("t")).where(can_change).cte("changing")


def _left_out(rows: Sequence[Any], machines: Mapping[tuple[int, str], Machine]) -> LeftOut:
    """Return the number of series without a row, and the host of most of them."""
    if not rows:
        return NOTHING_LEFT_OUT
    series = rows[0].every - len(rows)
    chosen = Counter(each.host_id for each in rows)
    host = max(rows, key=lambda each: each.own - chosen[each.host_id])
    return LeftOut(series, machines[host.setup, host.host_id].host, host.own - chosen[host.host_id])


@contextmanager
def fleet_query(engine: Engine, wanted: PointFilter) -> Iterator[FleetQuery]:
    """Open one transaction for queries. Raises StoreError."""
    with translate_errors(engine), snapshot_engine(engine).connect() as connection:
        if connection.dialect.name == "sqlite":  # its own logarithm is an option of the library
            driver: Any = connection.connection.driver_connection
            driver.create_function("ln", 1, math.log, deterministic=True)
        else:
            for name, value in _SETTINGS.items():
                connection.execute(text(f"SET LOCAL {name} = {value}"))
        yield FleetQuery(connection, wanted)


def _parts(keys: Collection[tuple[int, str]]) -> Iterator[CTE]:
    """Yield setups with hosts as tables of up to `_KEYS_AT_ONCE` rows."""
    ordered = list(keys)
    for start in range(0, len(ordered), _KEYS_AT_ONCE):
        names = values(column("setup", BigInteger), column("host_id", Text), name="part")
        yield names.data(ordered[start : start + _KEYS_AT_ONCE]).cte()


def _energy_series(machine: Machine, days: Sequence[Sequence[Any]]) -> EnergySeries:
    """Return the series of the rows of days."""
    return EnergySeries(
        machine,
        tuple(rows[0].created_ns for rows in days),
        tuple(math.fsum(math.log(row.joules_per_unit) for row in rows) / len(rows) for rows in days),
        tuple(rows[-1].inferometer_version for rows in days),
    )


def _machine(row: Mapping[str, Any]) -> Machine:
    own = {name: row[name] for name in _MACHINE if name != "host_name"}
    return Machine(host_id=row["host_id"], host=row["host_name"], **own)
