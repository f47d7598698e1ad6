"""Groups the points of many profiles in the database: costs of machines, energies of siblings, series of a machine."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, case, func, literal, select, text, true, tuple_

from store.engines import snapshot_engine
from store.error_messages import translate_errors
from store.fleet_filter import DIMENSIONS, SETUP_DIMENSIONS
from store.fleet_groups import merged, variance_of
from store.fleet_records import EnergySeries, FleetSpan, Machine, SiblingGroup
from store.schema import profile_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import CTE, Connection, Engine

    from store.fleet_filter import PointFilter
    from store.fleet_records import CostGroup

_p = profile_points.c
_DAY_NS = 86_400 * 10**9
_FEWEST_SIBLINGS = 3
_FEWEST_RUNS = 3
_KEYS_AT_ONCE = 500
_MEMORY = "256MB"
"""The memory of one step of a query: the default of PostgreSQL writes such groups to disk."""
_MACHINE = (
    "host_name",
    "hardware",
    "site",
    "rack",
    "workload",
    "model",
    "precision",
    "engine",
    "engine_version",
    "point",
)
_OF_SETUP = ("work", "workload", "model", "precision", "point", "boundary", "energy_source")
_EPOCH_DAYS = 20_000
"""Days from 1970 to 2024: times are counted from there, so that their squares lose no digits."""


@dataclass(slots=True)
class FleetQuery:
    """Queries one state of a store; `tested` counts the groups that a query examined, by its name."""

    connection: Connection
    wanted: PointFilter
    tested: dict[str, int] = field(default_factory=dict)

    def span(self) -> FleetSpan:
        """Return the extent of the fleet."""
        measured = func.max(case((_p.joules_per_inference.is_not(None), 1), else_=0))
        hosts = (
            select(
                func.count().label("points"),
                func.min(_p.date).label("first"),
                func.max(_p.date).label("last"),
                measured.label("measured"),
            )
            .where(self.wanted.condition())
            .group_by(_p.host_id)
            .subquery()
        )
        row = self.connection.execute(
            select(
                func.count(),
                func.coalesce(func.sum(hosts.c.points), 0),
                func.coalesce(func.min(hosts.c.first), ""),
                func.coalesce(func.max(hosts.c.last), ""),
                func.coalesce(func.sum(1 - hosts.c.measured), 0),
            ).select_from(hosts)
        ).one()
        return FleetSpan(int(row[0]), int(row[1]), row[2], row[3], int(row[4]))

    def costs(self, dimensions: Sequence[str]) -> list[CostGroup]:
        """Return the costs and energies of machines by work and by these dimensions.

        A host counts once for each of its setups, such as two versions of its engine.
        """
        amount = case((_per_token(), _p.cost_per_million_output_tokens), else_=_p.cost_per_million_inferences)
        # A setup has one hardware and one engine: the keys of a group are few and short, which halves the time.
        keys: list[ColumnElement[Any]] = [
            _p.setup.label("setup"),
            *(DIMENSIONS[name].label(f"dimension_{name}") for name in dimensions if name not in SETUP_DIMENSIONS),
            _p.currency.label("currency"),
            _p.cost_basis.label("cost_basis"),
            _per_token(),
        ]
        hosts = (
            select(
                *keys,
                func.count().label("profiles"),
                func.avg(amount).label("cost"),
                func.avg(_energy()).label("joules"),
                func.min(_p.id).label("example"),
            )
            .where(_p.valid, self.wanted.condition())
            .group_by(*keys, _p.host_id)
            .subquery()
        )
        own = [hosts.c[key.name] for key in keys]
        groups = (
            select(
                *own,
                func.count().label("hosts"),
                func.sum(hosts.c.profiles).label("profiles"),
                *_moments(hosts.c.cost, "cost"),
                *_moments(hosts.c.joules, "joules"),
                func.min(hosts.c.example).label("example"),
            )
            .group_by(*own)
            .subquery()
        )
        facts = [profile_points.c[name] for name in _OF_SETUP]
        fixed = [DIMENSIONS[name].label(f"dimension_{name}") for name in dimensions if name in SETUP_DIMENSIONS]
        found = select(groups, *facts, *fixed).join_from(groups, profile_points, _p.id == groups.c.example)
        return merged(self.connection.execute(found).mappings(), dimensions)

    def siblings(self, at_least: float) -> list[SiblingGroup]:
        """Return the machines whose mean energy is the share `at_least` above that of their siblings.

        Only measured energies count: the errors of a model of the power differ between machines. A machine is tested
        with three profiles and three siblings or more; `tested["siblings"]` is the number of tests.
        """
        hosts = self._hosts(()).cte("hosts")
        log_mean = (hosts.c.s / hosts.c.n).label("mean")
        sums = [hosts.c[name] for name in ("setup", "per_token", "host_id", "n", "q", "example")]
        means = select(*sums, log_mean).cte("means")
        groups = (
            select(
                means.c.setup,
                means.c.per_token,
                func.count().label("hosts"),
                func.sum(means.c.mean).label("s"),
                func.sum(means.c.mean * means.c.mean).label("q"),
            )
            .group_by(means.c.setup, means.c.per_token)
            .cte("groups")
        )
        others = groups.c.hosts - 1
        compared = (
            select(
                means,
                others.label("siblings"),
                ((groups.c.s - means.c.mean) / others).label("others_mean"),
                (groups.c.q - means.c.mean * means.c.mean).label("others_q"),
            )
            .join(groups, and_(groups.c.setup == means.c.setup, groups.c.per_token == means.c.per_token))
            .where(means.c.n >= _FEWEST_RUNS, others >= _FEWEST_SIBLINGS)
            .cte("compared")
        )
        above = compared.c.mean - compared.c.others_mean >= math.log1p(at_least)
        found = []
        for row in self._candidates("siblings", compared, above):
            machine = _machine(row)
            own = variance_of(row["q"], row["mean"], row["n"])
            others_variance = variance_of(row["others_q"], row["others_mean"], row["siblings"])
            found.append(
                SiblingGroup(machine, row["n"], row["mean"], own, row["siblings"], row["others_mean"], others_variance)
            )
        return found

    def series(self, fewest: int, most: int) -> list[EnergySeries]:
        """Return the series of at least `fewest` profiles: up to `most`, those whose straight line changes most.

        `tested["series"]` is the number of all series of that length.
        """
        log, day = func.ln(_energy()), _p.created_ns / float(_DAY_NS) - _EPOCH_DAYS
        times = (
            func.sum(day).label("t"),
            func.sum(day * day).label("tt"),
            func.sum(day * log).label("ts"),
            func.min(day).label("first"),
            func.max(day).label("last"),
        )
        hosts = self._hosts(times).cte("hosts")
        spread = hosts.c.n * hosts.c.tt - hosts.c.t * hosts.c.t
        slope = (hosts.c.n * hosts.c.ts - hosts.c.t * hosts.c.s) / func.nullif(spread, 0)
        change = func.abs(slope * (hosts.c.last - hosts.c.first))
        compared = select(hosts, change.label("change")).where(hosts.c.n >= fewest).cte("compared")
        rows = self._candidates("series", compared, compared.c.change.is_not(None), compared.c.change, most)
        return self._series({(row["setup"], row["host_id"], bool(row["per_token"])): _machine(row) for row in rows})

    def _hosts(self, more: Sequence[ColumnElement[Any]]) -> Any:
        """Return the sums of each host in each setup: of the logarithms of energy (s), of their squares, and more."""
        log = func.ln(_energy())
        return (
            select(
                _p.setup,
                _per_token(),
                _p.host_id,
                func.count().label("n"),
                func.sum(log).label("s"),
                func.sum(log * log).label("q"),
                *more,
                func.max(_p.id).label("example"),
            )
            .where(_p.valid, _p.energy_source == literal("measured"), _energy() > 0, self.wanted.condition())
            .group_by(_p.setup, _per_token(), _p.host_id)
        )

    def _candidates(
        self, name: str, compared: CTE, condition: ColumnElement[bool], order: Any = None, most: int | None = None
    ) -> list[Mapping[str, Any]]:
        """Return the groups that meet a condition with their machines, and count all of them."""
        total = select(func.count().label("tests")).select_from(compared).cte("total")
        chosen = select(compared).where(condition)
        chosen = chosen.order_by(order.desc()).limit(most) if order is not None else chosen
        found = chosen.cte("found")
        columns = [profile_points.c[each] for each in _MACHINE]
        rows = self.connection.execute(
            select(total.c.tests, found, *columns)
            .select_from(total.outerjoin(found, true()).outerjoin(profile_points, _p.id == found.c.example))
            .order_by(_p.host_name, _p.id)
        ).mappings()
        everything = [dict(row) for row in rows]
        self.tested[name] = everything[0]["tests"]
        return [row for row in everything if row["example"] is not None]

    def _series(self, machines: Mapping[tuple[int, str, bool], Machine]) -> list[EnergySeries]:
        keys, found = list(machines), []
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            part = keys[start : start + _KEYS_AT_ONCE]
            rows = self.connection.execute(
                select(
                    *(_p.setup, _p.host_id, _per_token(), _p.created_ns, _energy().label("joules")),
                    _p.inferometer_version,
                )
                .where(
                    *(_p.valid, _energy() > 0, self.wanted.condition()),
                    tuple_(_p.setup, _p.host_id).in_([key[:2] for key in part]),
                )
                .order_by(_p.setup, _p.host_id, _p.created_ns, _p.id)
            ).all()
            own: dict[tuple[int, str, bool], list[Any]] = {}
            for row in rows:
                own.setdefault((row.setup, row.host_id, bool(row.per_token)), []).append(row)
            found += [
                EnergySeries(
                    machines[key],
                    tuple(row.created_ns for row in rows),
                    tuple(math.log(row.joules) for row in rows),
                    tuple(row.inferometer_version for row in rows),
                )
                for key, rows in own.items()
                if key in machines
            ]
        return found


@contextmanager
def fleet_query(engine: Engine, wanted: PointFilter) -> Iterator[FleetQuery]:
    """Open one transaction for queries. Raises StoreError."""
    with translate_errors(engine), snapshot_engine(engine).connect() as connection:
        if connection.dialect.name == "sqlite":  # its own logarithm is an option of the library
            driver: Any = connection.connection.driver_connection
            driver.create_function("ln", 1, math.log, deterministic=True)
        else:
            connection.execute(text(f"SET LOCAL work_mem = '{_MEMORY}'"))
            connection.execute(text("SET LOCAL jit = off"))  # compiling takes longer than the query
        yield FleetQuery(connection, wanted)


def _per_token() -> ColumnElement[bool]:
    """Return whether the figures of a point are those of an output token, and not those of an inference."""
    return _p.output_tokens_per_second.is_not(None).label("per_token")


def _energy() -> ColumnElement[Any]:
    """Return the energy of an output token, or of an inference without tokens.

    It is NULL for tokens whose energy is unknown: that of an inference is another quantity.
    """
    return case((_per_token(), _p.joules_per_output_token), else_=_p.joules_per_inference)


def _moments(column: ColumnElement[Any], name: str) -> list[ColumnElement[Any]]:
    """Return count, sum and sum of squares of a column."""
    return [
        func.count(column).label(f"{name}_n"),
        func.sum(column).label(f"{name}_s"),
        func.sum(column * column).label(f"{name}_q"),
    ]


def _machine(row: Mapping[str, Any]) -> Machine:
    own = {name: row[name] for name in _MACHINE if name != "host_name"}
    return Machine(host_id=row["host_id"], host=row["host_name"], **own)
