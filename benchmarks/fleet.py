"""Measures a fleet's database with 10,000 hosts of 30 profiles each: pushes, size, and the time of each view.

    make bench BENCH=fleet [BENCH_ARGS=--quick]

PostgreSQL runs with its defaults on this machine. Real documents are pushed by the code of `inferometer fleet push`
under row-level security, by one client and by several, each a process with a store, a login and a connection of its
own; their work counts as well, as they run on this machine. The simulated fleet has the rows of its points, and a small
document in place of each large one.
One host of 500 needs a quarter more energy than the others, and one of 500 more since some weeks: the views must name
exactly these.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg
from fleet_rows import faults, fill
from reporting import Bar, arguments, finish, table

from agent.comparison.fleet_drift import DRIFT_SHARE
from agent.comparison.fleet_outliers import OUTLIER_SHARE, machines_apart
from agent.fleet.opening import opened_place
from agent.fleet.push import Selection, push
from agent.fleet.retry import Retry
from agent.fleet.security import initialize, script
from agent.fleet.target import target_of
from agent.fleet.views import fleet_view
from agent.profiling.document.versions import parse
from fleet_databases import OWNER
from fleet_documents import measured, new_store
from postgresql_server import started_server
from store.database import open_database
from store.fleet import FleetStore
from store.fleet_filter import PointFilter
from store.fleet_query import fleet_query
from store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from postgresql_server import Server
    from store.fleet_query import FleetQuery

HOSTS, PROFILES, PUSHED, CLIENTS = 10_000, 30, 2000, 16
QUICK_HOSTS, QUICK_PUSHED = 500, 200
MOST_SECONDS = 1.0
_REPEATS = 5
_POINTS_A_PROFILE = 4
_TEXT = (Path(__file__).parents[1] / "docs/serving.example.json").read_text(encoding="utf-8")
_DATABASE = "fleet"


def pushes(server: Server, clients: int, each: int) -> float:
    """Push the backlog of each client with its own login, process and connection; return profiles a second."""
    logins = "".join(
        f"CREATE ROLE {name} LOGIN IN ROLE inferometer_pushers; INSERT INTO fleet_logins VALUES ('{name}', '{name}');"
        for name in (_name(clients, client) for client in range(clients))
    )
    if error := server.psql(_DATABASE, logins).stderr:
        raise RuntimeError(error)
    with tempfile.TemporaryDirectory() as folder:
        names = [_name(clients, client) for client in range(clients)]
        jobs = [(server.url(_DATABASE, name), Path(folder) / f"{name}.db") for name in names]
        for name, (_, path) in zip(names, jobs, strict=True):
            _fill_store(path, name, each)
        with ProcessPoolExecutor(clients, get_context("fork")) as pool:
            began = time.perf_counter()
            added = sum(pool.map(_pushed, jobs))
            seconds = time.perf_counter() - began
    if added != clients * each:
        raise RuntimeError(f"{added} of {clients * each} profiles were added")
    return added / seconds


def _name(clients: int, client: int) -> str:
    return f"push{clients}_{client}"


def _fill_store(path: Path, host: str, count: int) -> None:
    """Make the store of a host with profiles that wait for a push."""
    document, engine = parse(_TEXT), new_store(path)
    document["host"] |= {"id": host, "name": host}
    measured(engine, *({**document, "id": f"20260101-000000-{number:012x}"} for number in range(count)))
    engine.dispose()


def _pushed(job: tuple[str, Path]) -> int:
    """Push the profiles of a store; return their number."""
    url, path = job
    engine = open_database(str(path), create=False)
    with opened_place(target_of(url), Retry(print)) as place:
        added = len(push(Reader(engine), place, Selection()).uids)
    engine.dispose()
    return added


def views(engine: Engine) -> dict[str, Callable[[], Any]]:
    """Return each view as a call."""
    every, one = PointFilter(), PointFilter(values=(("host", "node00257"),))

    def asked(ask: Callable[[Any], Any]) -> Callable[[], Any]:
        def run() -> Any:
            with fleet_query(engine, every) as query:
                return ask(query)

        return run

    return {
        "extent of the fleet": asked(lambda query: query.span()),
        "cost by hardware, engine, site and month": asked(
            lambda query: query.costs(("hardware", "engine", "site", "month"))
        ),
        "cost by site": asked(lambda query: query.costs(("site",))),
        "outliers": asked(_outliers),
        "drift: series of the largest changes": asked(lambda query: query.series(6, 1000, DRIFT_SHARE)),
        "all views of one host": lambda: fleet_view(engine, one, ""),
        "status: newest profile of each host": FleetStore(engine).hosts,
    }


def _outliers(query: FleetQuery) -> Any:
    found = machines_apart(query.siblings(OUTLIER_SHARE), query.tested["siblings"])
    return query.machines([(each.energy.setup, each.energy.host_id) for each in found])


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Return the median and the longest time of a call, after one that fills the caches."""
    call()
    taken = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), max(taken)


def main() -> None:
    """Push, fill, ask, print."""
    options = arguments(__doc__ or "")
    hosts, count = (QUICK_HOSTS, QUICK_PUSHED) if options.quick else (HOSTS, PUSHED)
    with started_server("fsync=on") as server, server.database(_DATABASE) as url:
        server.psql(_DATABASE, script("roles"))
        initialize(target_of(server.url(_DATABASE, OWNER)))
        rates = {clients: pushes(server, clients, count // clients) for clients in (1, CLIENTS)}
        engine = open_database(url)
        with psycopg.connect(url) as connection:
            real = _size(connection, "profiles") / (count + count // CLIENTS * CLIENTS)
            connection.execute("TRUNCATE profile_points, profiles, runs, recordings, hosts CASCADE")
            connection.commit()
            began = time.perf_counter()
            fill(connection, hosts, PROFILES, "{}")
            filling = time.perf_counter() - began
            points = _size(connection, "profile_points") / hosts / PROFILES
        timed = {name: seconds(call) for name, call in views(engine).items()}
        began = time.perf_counter()
        view = fleet_view(engine, PointFilter(), "")
        whole = time.perf_counter() - began
        engine.dispose()
    profiles = hosts * PROFILES
    table(f"Pushes of documents of {len(_TEXT):,} bytes", ("CLIENTS>", "PROFILES/S>"), list(rates.items()))
    table(
        f"Views of {hosts:,} hosts, {profiles:,} profiles, {profiles * _POINTS_A_PROFILE:,} points",
        ("VIEW", "MEDIAN s>", "LONGEST s>"),
        [(name, *found) for name, found in timed.items()],
    )
    table(
        "Size",
        ("", "BYTES A PROFILE>", "GIB OF THE FLEET>"),
        [
            ("rows of points, with indexes", points, points * profiles / 2**30),
            ("documents, extrapolated", real, real * profiles / 2**30),
        ],
    )
    planted, found = faults(hosts), {each.place.host for each in view.outliers}
    changed = {each.place.host for each in view.drift}
    slowest = max(median for median, _ in timed.values())
    bars = (
        Bar("slowest view", slowest, MOST_SECONDS, "s"),
        Bar("outliers: missed or false", _wrong(found, planted.outliers), 0),
        Bar("drift: missed or false", _wrong(changed, planted.drifts), 0),
    )
    figures = {"views": timed, "all_views_seconds": whole, "fill_seconds": filling, "pushes": rates}
    finish(options.json, {**figures, "bytes_points": points, "bytes_document": real, "profiles": profiles}, bars)


def _wrong(found: set[str], planted: frozenset[int]) -> int:
    return len(found ^ {f"node{host:05d}" for host in planted})


def _size(connection: psycopg.Connection[Any], name: str) -> int:
    row = connection.execute("SELECT pg_total_relation_size(%s)", (name,)).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    main()
