"""Measures a fleet's database with 10,000 hosts of 30 profiles each: pushes, size, and the time of each view.

    make bench BENCH=fleet [BENCH_ARGS=--quick]

PostgreSQL runs with its defaults on this machine. Real documents are pushed as `inferometer fleet push` does, by one
client and by several; the simulated fleet has the rows of its points, and a small document in place of each large one.
One host of 500 needs a quarter more energy than the others, and one of 500 more since some weeks: the views must name
exactly these.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import psycopg
from fleet_rows import faults, fill
from reporting import Bar, arguments, finish, table

from agent.fleet.views import fleet_view
from agent.profiling.document.versions import parse
from postgresql_server import started_server
from store.database import open_database
from store.fleet import FleetProfile, FleetStore
from store.fleet_filter import PointFilter
from store.fleet_query import fleet_query
from store.records import Host, RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

HOSTS, PROFILES, PUSHED, CLIENTS = 10_000, 30, 2000, 16
QUICK_HOSTS, QUICK_PUSHED = 500, 200
MOST_SECONDS = 1.0
_REPEATS = 5
_POINTS_A_PROFILE = 4
_DOCUMENT = Path(__file__).parents[1] / "docs/serving.example.json"


def pushes(engine: Engine, count: int, clients: int) -> tuple[float, float]:
    """Push real documents by several clients at once; return profiles a second, and the mean bytes of a document."""
    text = _DOCUMENT.read_text(encoding="utf-8")
    document = parse(text)
    profiles = [_pushed(document, clients, number) for number in range(count)]
    parts = [profiles[at::clients] for at in range(clients)]
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for _ in pool.map(lambda part: [FleetStore(engine).add([each]) for each in part], parts):
            pass
    return count / (time.perf_counter() - began), statistics.fmean(len(each.text) for each in profiles)


def _pushed(document: dict[str, Any], clients: int, number: int) -> FleetProfile:
    host = Host(f"import-{clients:08x}{number % clients:08x}", f"push{clients}-{number % clients}")
    uid = f"20260101-000000-{clients:06x}{number:06x}"
    own = {**document, "id": uid, "host": {**document["host"], "id": host.id.removeprefix("import-")}}
    return FleetProfile(host, uid, 1_767_225_600 * 10**9 + number, RunStatus.COMPLETE, own, json.dumps(own))


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
        "outliers": asked(lambda query: query.siblings(0.1)),
        "drift: series of the largest changes": asked(lambda query: query.series(6, 1000)),
        "all views of one host": lambda: fleet_view(engine, one, ""),
        "status: newest profile of each host": FleetStore(engine).hosts,
    }


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
    with started_server("fsync=on") as server, server.database("fleet") as url:
        engine = open_database(url)
        rates = {clients: pushes(engine, count, clients) for clients in (1, CLIENTS)}
        with psycopg.connect(url) as connection:
            real = _size(connection, "profiles") / (2 * count)
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
    table(
        "Pushes of real documents", ("CLIENTS>", "PROFILES/S>", "BYTES>"), [(n, *found) for n, found in rates.items()]
    )
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
