"""Measures VictoriaMetrics and Prometheus while they scrape 100, 1,000 and 10,000 simulated hosts every minute.

The rules of a fleet are recorded meanwhile, and the queries of the fleet's dashboard are timed. VictoriaMetrics first
imports a day of the host totals, so that the queries over a day read a day.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fleet_hosts
import fleet_servers
import numpy as np
from fleet_history import DAY_SECONDS, server_with_history
from fleet_progress import progress, wait
from live_service import free_port
from process_usage import cpu_ns, resident_mib
from reporting import Bar, table

import simulated_fleet
from simulated_fleet import SAMPLED, TOTAL, address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleet_servers import Server

    from simulated_fleet import Fleet

SIZES = (100, 1_000, 10_000)
QUICK_SIZES = (100,)
HOSTS_OF_A_RACK, RACKS_OF_A_SITE, OWNERS = 40, 25, 5
DASHBOARD = Path(__file__).resolve().parent.parent / "docs/prometheus/fleet-dashboard.json"
QUERY_REPEATS, LONGEST_QUERY_SECONDS = 5, 5.0
AGREEMENT = 1e-9
_ACTIVE_SERIES = {
    "prometheus": "prometheus_tsdb_head_series",
    "victoria-metrics": 'vm_cache_entries{type="storage/hour_metric_ids"}',
}
_OTHER_FILES = 1000
_OF_FAULTS = "Racks with hosts that do not answer"
_EMPTY = {"victoria-metrics": {_OF_FAULTS}, "prometheus": {_OF_FAULTS, "Energy over 24 h", "Cost over 24 h"}}
"""The panels that may be empty: that of faults, and without an imported day those of full hours."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes, the servers, the scrape interval, and the seconds before and during a measurement."""

    sizes: tuple[int, ...]
    servers: tuple[str, ...]
    scrape: float
    before: float
    during: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The needs of a server; shares are CPU time over time, `queries` (median and longest time in seconds, series)."""

    server: str
    hosts: int
    series: int
    samples_per_second: float
    cpu_share: float
    rules_cpu_share: float
    hosts_cpu_share: float
    memory_mib: float
    memory_peak_mib: float
    disk_mib: float
    scrapes: int
    scrapes_expected: int
    scrapes_failed: int
    slowest_scrape_seconds: float
    largest_error: float
    queries: dict[str, tuple[float, float, int]]
    replay_seconds: float | None = None


def prove(plan: Plan) -> tuple[dict[str, Any], list[Bar]]:
    """Measure every server at every size, print the figures, and return them with the bars."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(plan.sizes) + _OTHER_FILES
    if most < needed:
        raise SystemExit(f"{max(plan.sizes)} hosts need {needed} open files, not {most}: raise `ulimit -n`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # every host has a connection
    found = []
    for server in plan.servers:
        for hosts in plan.sizes:
            with tempfile.TemporaryDirectory(prefix="inferometer-fleet-") as folder:
                found.append(_measured(Path(folder), server, hosts, plan))
    _print(found)
    series = {kind: len(page.samples) for kind, page in fleet_hosts.pages().items()}
    bars = []
    for each in found:
        name = f"{each.server}, {each.hosts} hosts"
        arrived = (each.scrapes - each.scrapes_failed) / each.scrapes_expected
        slowest = max(longest for _, longest, _ in each.queries.values())
        empty = {panel for panel, (_, _, found) in each.queries.items() if not found} - _EMPTY[each.server]
        bars += [
            Bar(f"{name}: share of scrapes that succeeded", arrived, 0.995, at_least=True),
            Bar(f"{name}: largest relative error of the joules of a host", each.largest_error, AGREEMENT),
            Bar(f"{name}: slowest query of the dashboard", slowest, LONGEST_QUERY_SECONDS, "s"),
            Bar(f"{name}: panels of the dashboard without a result", len(empty), 0, note=", ".join(sorted(empty))),
        ]
    return {"series_of_a_host": series, "runs": [asdict(each) for each in found]}, bars


def _measured(folder: Path, name: str, hosts: int, plan: Plan) -> Figures:
    """Let a server scrape hosts, and return what it needed."""
    progress(f"{name}, {hosts} hosts")
    fleet = fleet_hosts.fleet(time.time() - 2 * DAY_SECONDS)
    port = int(free_port())
    groups = _groups(hosts, port)
    with ExitStack() as stack:
        pid = stack.enter_context(simulated_fleet.serving(fleet, port))
        recorded = fleet_servers.rules(folder, plan.scrape) if name == "prometheus" else None
        scrapes = fleet_servers.config(folder, groups, plan.scrape, recorded)
        replay_seconds = None
        if name == "prometheus":
            server, alert = fleet_servers.prometheus(folder, scrapes), None
        else:
            server, replay_seconds = server_with_history(folder, fleet, groups)
            server.options = [*server.options, f"-promscrape.config={scrapes}"]
            alert = fleet_servers.vmalert(folder, server, plan.scrape)
        stack.enter_context(fleet_servers.started(server, *([alert] if alert else [])))
        wait("before the measurement", plan.before)
        processes = {"server": server.pid, "rules": alert.pid if alert else 0, "hosts": pid}
        began, before = time.time(), {each: cpu_ns(number) for each, number in processes.items() if number}
        memory = list(_memory(server, plan.during))
        ended = time.time()
        shares = {each: (cpu_ns(processes[each]) - cpu) / 1e9 / (ended - began) for each, cpu in before.items()}
        queries = dict(_timed(server))
        return Figures(
            name, hosts, _series(server), _sum(server, "sum(scrape_samples_scraped)") / plan.scrape, shares["server"],
            shares.get("rules", 0.0), shares["hosts"], statistics.mean(memory), max(memory), _disk_mib(folder / "data"),
            *_scrapes(server, ended, hosts, plan), _slowest(server),
            _error(server, fleet, hosts, began, ended), queries, replay_seconds,
        )  # fmt: skip


def _groups(hosts: int, port: int) -> list[dict[str, Any]]:
    """Return the targets by rack, with the labels of site, rack and owner."""
    racks: dict[int, list[str]] = defaultdict(list)
    for host in range(hosts):
        racks[host // HOSTS_OF_A_RACK].append(address(host, port))
    labels = {
        rack: {"site": f"site{rack // RACKS_OF_A_SITE}", "rack": f"rack{rack}", "owner": f"team{rack % OWNERS}"}
        for rack in racks
    }
    return [{"targets": targets, "labels": labels[rack]} for rack, targets in racks.items()]


def _memory(server: Server, seconds: float) -> Iterator[float]:
    """Yield the resident memory of a server every ten seconds, in MiB."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        yield resident_mib(server.pid)
        progress(f"measuring: {left:.0f} s left")
        time.sleep(min(left, 10.0))


def _timed(server: Server) -> Iterator[tuple[str, tuple[float, float, int]]]:
    """Yield each query of the dashboard with its median and longest time and its series; graphs show a day."""
    now = time.time()
    day = {"path": "api/v1/query_range", "start": f"{now - DAY_SECONDS:.0f}", "end": f"{now:.0f}", "step": "300"}
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        graph = panel["type"] == "timeseries"
        for number, target in enumerate(panel["targets"]):
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1d")
            for variable in ("site", "rack", "owner", "model", "currency"):
                expression = expression.replace(f"${variable}", ".*")
            times = []
            for _ in range(QUERY_REPEATS):
                began = time.monotonic()
                found = server.query(expression, **(day if graph else {}))
                times.append(time.monotonic() - began)
            yield (
                f"{panel['title']}{f' ({number + 1})' if number else ''}",
                (statistics.median(times), max(times), len(found)),
            )


def _scrapes(server: Server, ended: float, hosts: int, plan: Plan) -> tuple[int, int, int]:
    """Return the scrapes of a time of whole intervals, their expected number, and those that failed."""
    intervals = int(plan.during // plan.scrape)
    window, at = f"{intervals * plan.scrape:.0f}s", f"{ended:.3f}"
    count = _sum(server, f'sum(count_over_time(up{{job="inferometer"}}[{window}]))', time=at)
    good = _sum(server, f'sum(sum_over_time(up{{job="inferometer"}}[{window}]))', time=at)
    return round(count), intervals * hosts, round(count - good)


def _error(server: Server, fleet: Fleet, hosts: int, began: float, ended: float) -> float:
    """Return the largest relative error of the joules of a host between the first and the last scrape of a time."""
    seconds = ended - began
    sampled = {
        labels["instance"]: values for labels, _, values in server.samples(f'{SAMPLED}{{probe="rapl"}}', seconds, ended)
    }
    errors = []
    for labels, _, values in server.samples(TOTAL, seconds, ended):
        at = np.array([sampled[labels["instance"]][0], sampled[labels["instance"]][-1]])
        first, last = fleet.joules(simulated_fleet.host_of(labels["instance"]), at)
        errors.append(abs((values[-1] - values[0]) / (last - first) - 1))
    if len(errors) != hosts:
        raise SystemExit(f"the server has the energy of {len(errors)} of {hosts} hosts")
    return float(max(errors))


def _slowest(server: Server) -> float:
    return _sum(server, 'max(scrape_duration_seconds{job="inferometer"})')


def _series(server: Server) -> int:
    """Return the number of series that receive samples."""
    return round(server.own_metrics()[_ACTIVE_SERIES[server.name]])


def _sum(server: Server, expression: str, **arguments: str) -> float:
    found = server.query(expression, **arguments)
    return float(found[0]["value"][1]) if found else 0.0


def _disk_mib(folder: Path) -> float:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / 2**20


def _print(found: Sequence[Figures]) -> None:
    columns = (
        "SERVER", "HOSTS>", "SERIES>", "SAMPLES/s>", "CPU %>", "RULES CPU %>", "MEMORY MiB>", "PEAK MiB>", "DISK MiB>",
        "SLOWEST SCRAPE s>", "SLOWEST QUERY s>",
    )  # fmt: skip
    rows = [
        (
            each.server, each.hosts, each.series, each.samples_per_second, 100 * each.cpu_share,
            100 * each.rules_cpu_share, each.memory_mib, each.memory_peak_mib, each.disk_mib,
            each.slowest_scrape_seconds, max(longest for _, longest, _ in each.queries.values()),
        )
        for each in found
    ]  # fmt: skip
    table("Scrapes every 60 s", columns, rows)
    for each in found:
        times = [
            (name, 1000 * median, 1000 * slowest, found) for name, (median, slowest, found) in each.queries.items()
        ]
        title = f"Queries of the dashboard, {each.server}, {each.hosts} hosts"
        table(title, ("PANEL", "MEDIAN ms>", "SLOWEST ms>", "SERIES>"), times)
